// SPDX-License-Identifier: Apache-2.0

/** One entry of an archive made for a test. */
export interface TarEntry {
  name: string;
  data?: Buffer;
  /** 0 file, 5 folder, 2 link, L long name, x pax header. */
  type?: string;
  prefix?: string;
  /** Size written into the header instead of the real one. */
  size?: number;
}

/** Bytes of a ustar archive. */
export function tarBytes(entries: readonly TarEntry[]): Buffer {
  const blocks = entries.map(({ name, data = Buffer.alloc(0), type = '0', prefix = '', size = data.length }) => {
    const header = Buffer.alloc(512);
    header.write(name, 0, 100, 'utf8');
    header.write('0000644\0', 100, 'latin1');
    header.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
    header.write('        ', 148, 'latin1');
    header.write(type, 156, 'latin1');
    header.write('ustar\x0000', 257, 'latin1');
    header.write(prefix, 345, 155, 'utf8');
    const sum = header.reduce((a, b) => a + b, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return Buffer.concat([header, data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}
