#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write lib/data/digits/digits.u8.gz from scikit-learn's digits.csv.gz (UCI optical digits, CC BY 4.0).

Usage: make-digits.py digits.csv.gz lib/data/digits/digits.u8.gz

digits.csv.gz lies in scikit-learn's package under sklearn/datasets/data (Debian: python3-sklearn).
Split: the file is in writer order, so its end is no fair test. Within each class the samples are ordered
by SHA-256 of "tinyprop-digits:<index in the file>" and the first fifth (rounded) become test samples.
Layout: b"TPDIGIT1", u32 little-endian n, n*64 pixels, n labels, n split bytes (0 train, 1 test).
"""
import gzip
import hashlib
import io
import struct
import sys


def read_rows(path):
    with gzip.open(path, "rt", encoding="ascii") as stream:
        rows = [[int(float(value)) for value in line.split(",")] for line in stream if line.strip()]
    for number, row in enumerate(rows, 1):
        if len(row) != 65 or not all(0 <= v <= 16 for v in row[:64]) or not 0 <= row[64] <= 9:
            sys.exit(f"{path}:{number}: expected 64 pixels 0..16 and a digit 0..9")
    if len(rows) != 1797:
        sys.exit(f"{path}: expected 1797 rows, found {len(rows)}")
    return rows


def split(labels):
    is_test = bytearray(len(labels))
    for digit in range(10):
        members = [i for i, label in enumerate(labels) if label == digit]
        members.sort(key=lambda i: hashlib.sha256(f"tinyprop-digits:{i}".encode()).digest())
        for i in members[: (len(members) * 2 + 5) // 10]:
            is_test[i] = 1
    return bytes(is_test)


def main():
    source, target = sys.argv[1:]
    rows = read_rows(source)
    labels = bytes(row[64] for row in rows)
    pixels = b"".join(bytes(row[:64]) for row in rows)
    is_test = split(labels)
    body = b"TPDIGIT1" + struct.pack("<I", len(rows)) + pixels + labels + is_test
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as stream:
        stream.write(body)
    with open(target, "wb") as stream:
        stream.write(packed.getvalue())
    print(f"{target}: {len(rows)} digits, {sum(is_test)} for testing, {len(packed.getvalue())} bytes")


if __name__ == "__main__":
    main()
