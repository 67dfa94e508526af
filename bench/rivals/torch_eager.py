# SPDX-License-Identifier: Apache-2.0
"""PyTorch, eager: answers requests for measurements, one line of JSON each (bench/rivals.mjs).

A training step is the faster of SGD foreach and per parameter.
"""

import gzip
import json
import math
import os
import signal
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError:
    print(json.dumps({"skip": "PyTorch is not installed (apt install python3-torch, or TINYPROP_PYTHON=PROGRAM)"}), flush=True)
    sys.exit(0)

SAMPLES = 64
LR = 1e-6  # as in the other programs: the nets must not die


def pads(numbers, dims):
    """[top, bottom, left, right] or [left, right] -> what nn.Conv takes; the workloads pad both sides alike."""
    before = numbers[0::2]
    assert before == numbers[1::2] and len(before) == dims
    return tuple(before)


class Net(nn.Module):
    """The graph of a description; a chain is run as a chain."""

    def __init__(self, model):
        super().__init__()
        names = {"input": (0, model["input"][-1])}  # value number, channels
        flat = 1
        for n in model["input"]:
            flat *= n
        modules, self.plan = [], []
        size = list(model["input"][:-1])
        sizes = {"input": size}
        for node in model["nodes"]:
            source, channels = names[node["inputs"][0]]
            size = sizes[node["inputs"][0]]
            op, units = node["op"], node.get("units")
            other = None
            if op == "dense":
                module = nn.Linear(channels, units)
            elif op in ("conv2d", "conv1d", "depthwiseConv2d"):
                deep = op == "depthwiseConv2d"
                units = channels if deep else units
                kind = nn.Conv1d if op == "conv1d" else nn.Conv2d
                kernel, stride = node["kernel"], node["stride"]
                padding = pads(node["padding"], 1 if op == "conv1d" else 2)
                module = kind(channels, units, kernel, stride, padding if op != "conv1d" else padding[0], groups=channels if deep else 1)
                ks, ss = ([kernel], [stride]) if op == "conv1d" else (kernel, stride)
                size = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(size, padding, ks, ss)]
            elif op == "relu":
                module = nn.ReLU(inplace=True)
            elif op == "relu6":
                module = nn.ReLU6(inplace=True)
            elif op == "flatten":
                module = nn.Flatten()
                for n in size:
                    channels *= n
                size = []
            elif op == "globalAvgPool":
                module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
                size = []
            elif op == "add":
                module, other = None, names[node["inputs"][1]][0]
            else:
                raise ValueError(op)
            if module is not None:
                modules.append(module)
            self.plan.append((module, source, other))
            names[node["name"]] = (len(self.plan), units or channels)
            sizes[node["name"]] = size
        self.modules_of_plan = nn.ModuleList(modules)
        self.chain = all(other is None and source == i for i, (_, source, other) in enumerate(self.plan))

    def forward(self, x):
        if self.chain:
            for module, _, _ in self.plan:
                x = module(x)
            return x
        values = [x]
        for module, source, other in self.plan:
            values.append(values[source] + values[other] if module is None else module(values[source]))
        return values[-1]


class Step:
    """A training step or a forward pass, called again and again."""

    def __init__(self, request, foreach, channels_last):
        model, self.batch = request["model"], request["batch"]
        torch.manual_seed(7)
        self.net = Net(model)
        shape = model["input"][-1:] + model["input"][:-1]  # channels first
        x = torch.randn(SAMPLES, *shape)
        if channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            outputs = self.net(x[:1]).shape[1]
        self.mse = model["loss"] == "mse"
        y = torch.randn(SAMPLES, outputs) if self.mse else torch.randint(outputs, (SAMPLES,))
        self.data = [(x[i : i + self.batch], y[i : i + self.batch]) for i in range(0, SAMPLES, self.batch)]
        self.next = 0
        self.sgd = torch.optim.SGD(self.net.parameters(), lr=LR, foreach=foreach)

    def step(self):
        x, y = self.data[self.next]
        self.next = (self.next + 1) % len(self.data)
        self.sgd.zero_grad(set_to_none=True)
        z = self.net(x)
        loss = functional.mse_loss(z, y) if self.mse else functional.cross_entropy(z, y)
        loss.backward()
        self.sgd.step()

    def infer(self):
        x, _ = self.data[self.next]
        self.next = (self.next + 1) % len(self.data)
        with torch.inference_mode():
            self.net(x)


def repeat(call, calls):
    begin = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - begin) * 1e6 / calls


def calls_for(call, ms):
    """Calls that take about so long; also warms up."""
    calls = 1
    while True:
        us = repeat(call, calls) * calls
        if us >= 500 * ms:
            return max(1, round(ms * 1000 * calls / us))
        calls *= 2


class Best:
    """The faster way of PyTorch to do what a request asks for."""

    def __init__(self, request):
        found = []
        step_wanted = request["what"] == "step"
        for foreach in [True, False] if step_wanted else [False]:
            step = Step(request, foreach, request["channelsLast"])
            call = step.step if step_wanted else step.infer
            calls = calls_for(call, request["ms"])
            note = ("foreach" if foreach else "per parameter") if step_wanted else ""
            found.append((min(repeat(call, calls) for _ in range(3)), note, call, calls))
        _, self.note, self.call, self.calls = min(found, key=lambda f: f[0])

    def measure(self):
        return {"us": repeat(self.call, self.calls), "note": self.note}


def idx(folder, name):
    """An IDX file of unsigned bytes, plain or gzip, as a tensor [n, ...]."""
    path = os.path.join(folder, name)
    with (open(path, "rb") if os.path.exists(path) else gzip.open(path + ".gz", "rb")) as f:
        data = f.read()
    dims = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(data[3])]
    return torch.frombuffer(bytearray(data[4 + 4 * len(dims) :]), dtype=torch.uint8).reshape(dims)


def epoch(request):
    """Epochs at batch 1 in random order with a cosine schedule, then the accuracy on the test data."""
    data, epochs, lr = request["data"], request["epochs"], request["lr"]
    x, y = (idx(data, f"train-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    tx, ty = (idx(data, f"t10k-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    x, tx = (a.reshape(len(a), -1).float() / 255 for a in (x, tx))
    y, ty = y.long(), ty.long()
    torch.manual_seed(1)
    net = Net(request["model"])
    sgd = torch.optim.SGD(net.parameters(), lr=lr, foreach=True)
    total, seconds, cpu, t = epochs * len(x), 0.0, 0.0, 0
    for _ in range(epochs):
        order = torch.randperm(len(x))
        samples, labels = x[order].split(1), y[order].split(1)  # not timed: neither is the others' loading
        begin, cpu_begin = time.perf_counter(), time.process_time()
        for sample, label in zip(samples, labels):
            sgd.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * t / total)) / 2
            t += 1
            sgd.zero_grad(set_to_none=True)
            functional.cross_entropy(net(sample), label).backward()
            sgd.step()
        seconds += time.perf_counter() - begin
        cpu += time.process_time() - cpu_begin
    with torch.inference_mode():
        accuracy = (net(tx).argmax(1) == ty).float().mean().item()
    return {"seconds": seconds, "cpuSeconds": cpu, "accuracy": accuracy}


def blas():
    """The library that multiplies matrices; Debian's PyTorch works with the slow reference one too."""
    try:
        with open("/proc/self/maps") as f:
            maps = f.read()
    except OSError:
        return "unknown BLAS"
    for name in ("openblas", "mkl", "blis", "atlas"):
        if name in maps:
            return name
    return "REFERENCE BLAS: not a fair rival (apt install libopenblas0-pthread)"


def main():
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends without a traceback
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    print(json.dumps({"version": f"{torch.__version__} ({blas()})"}), flush=True)
    key, best = None, {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["what"] == "epoch":
            print(json.dumps(epoch(request)), flush=True)
            continue
        if request["channelsLast"] and len(request["model"]["input"]) != 3:
            print(json.dumps({"skip": "no images"}), flush=True)
            continue
        place = (request["workload"], request["batch"])
        if place != key:  # a new workload: what the old one held is let go
            key, best = place, {}
        what = request["what"]
        if what not in best:
            best[what] = Best(request)
        print(json.dumps(best[what].measure()), flush=True)


main()
