#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the PyTorch reference values of test/fixtures (needs PyTorch >= 1.13 and NumPy).

    /usr/bin/python3 tools/make-fixtures.py            # Debian: python3-torch

Weights and inputs are float32; everything is evaluated in float64, so a stored value is wrong by no
more than the final rounding to float32. Parameters live in tinyprop's own layout (NHWC, weights
[out][kh][kw][in/groups], dense [out][in]) and are only permuted inside the forward pass: autograd
then returns gradients in that layout too.
"""
import base64
import json
import os
import zlib

import numpy as np
import torch
import torch.nn.functional as F

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test", "fixtures")
STEPS = 20
# A pre-activation this close to a kink could fall on the other side in float32: choose other data.
KINK_MARGIN = 4e-6


# ---- the model description ---------------------------------------------------------------------


def same_pad(size, kernel, stride):
    """TensorFlow's `same`: output ceil(size / stride), the odd pad at the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad2d(node, shape):
    p, k, s = node.get("padding", "valid"), node["kernel"], stride_of(node)
    if p == "valid":
        return 0, 0, 0, 0
    if p == "same":
        return same_pad(shape[0], k[0], s[0]) + same_pad(shape[1], k[1], s[1])
    return tuple(p)


def pad1d(node, shape):
    p = node.get("padding", "valid")
    if p == "valid":
        return 0, 0
    if p == "same":
        return same_pad(shape[0], node["kernel"], node.get("stride", 1))
    return tuple(p)


def stride_of(node):
    if node["op"].endswith("Pool2d"):
        return node.get("stride", node["kernel"])
    return node.get("stride", [1, 1])


class Net:
    """Interprets the JSON node list; activations are [batch, channels, ...] as PyTorch wants them."""

    def __init__(self, model):
        self.model = model
        self.margin = float("inf")

    def forward(self, params, x):
        """x: [batch, *input] with channels last; returns the output of the last node, flat."""
        values = {"input": torch.movedim(x, -1, 1) if x.dim() > 2 else x}
        for node in self.model["nodes"]:
            args = [values[name] for name in node["inputs"]]
            values[node["name"]] = getattr(self, node["op"])(node, params, *args)
        return torch.flatten(values[self.model["nodes"][-1]["name"]], 1)

    def _watch(self, distance):
        if distance.numel():
            self.margin = min(self.margin, float(distance.detach().abs().min()))

    def _bias(self, node, params):
        return params.get(node["name"] + ".bias")

    def dense(self, node, params, x):
        return F.linear(x, params[node["name"] + ".weight"], self._bias(node, params))

    def conv2d(self, node, params, x):
        t, b, l, r = pad2d(node, x.shape[2:])
        w = params[node["name"] + ".weight"].permute(0, 3, 1, 2)
        groups = x.shape[1] if node["op"] == "depthwiseConv2d" else node.get("groups", 1)
        return F.conv2d(F.pad(x, (l, r, t, b)), w, self._bias(node, params), stride_of(node), groups=groups)

    depthwiseConv2d = conv2d

    def conv1d(self, node, params, x):
        w = params[node["name"] + ".weight"].permute(0, 2, 1)
        x = F.pad(x, pad1d(node, x.shape[2:]))
        return F.conv1d(x, w, self._bias(node, params), node.get("stride", 1), groups=node.get("groups", 1))

    def maxPool2d(self, node, params, x):
        t, b, l, r = pad2d(node, x.shape[2:])
        y = F.max_pool2d(F.pad(x, (l, r, t, b), value=-float("inf")), node["kernel"], stride_of(node))
        return y

    def avgPool2d(self, node, params, x):
        t, b, l, r = pad2d(node, x.shape[2:])
        area = float(node["kernel"][0] * node["kernel"][1])
        pool = lambda v: F.avg_pool2d(F.pad(v, (l, r, t, b)), node["kernel"], stride_of(node)) * area
        return pool(x) / pool(torch.ones_like(x[:1]))      # only real elements are counted

    def globalAvgPool(self, node, params, x):
        return x.mean(dim=tuple(range(2, x.dim())))

    def relu(self, node, params, x):
        self._watch(x)
        return F.relu(x)

    def relu6(self, node, params, x):
        self._watch(x)
        self._watch(x - 6)
        return F.relu6(x)

    def leakyRelu(self, node, params, x):
        self._watch(x)
        return F.leaky_relu(x, node["slope"])

    def sigmoid(self, node, params, x):
        return torch.sigmoid(x)

    def tanh(self, node, params, x):
        return torch.tanh(x)

    def batchNorm(self, node, params, x):
        p = [params[node["name"] + "." + part] for part in ("mean", "variance", "gamma", "beta")]
        return F.batch_norm(x, *p, training=False, eps=node["epsilon"])

    def add(self, node, params, a, b):
        return a + b

    def flatten(self, node, params, x):
        return torch.flatten(torch.movedim(x, 1, -1), 1)

    def dropout(self, node, params, x):
        return F.dropout(x, node["rate"], training=False)


def tensor_shapes(model):
    """Names and shapes of all tensors, in node order; follows activations by a dry run on zeros."""
    shapes, inputs = {}, {"input": list(model["input"])}
    for node in model["nodes"]:
        x, op, name = inputs[node["inputs"][0]], node["op"], node["name"]
        if op == "dense":
            shapes[name + ".weight"] = [node["units"], x[0]]
        elif op == "conv2d":
            shapes[name + ".weight"] = [node["units"], *node["kernel"], x[-1] // node.get("groups", 1)]
        elif op == "conv1d":
            shapes[name + ".weight"] = [node["units"], node["kernel"], x[-1] // node.get("groups", 1)]
        elif op == "depthwiseConv2d":
            shapes[name + ".weight"] = [x[-1] * node.get("multiplier", 1), *node["kernel"], 1]
        elif op == "batchNorm":
            for part in ("gamma", "beta", "mean", "variance"):
                shapes[name + "." + part] = [x[-1]]
        if name + ".weight" in shapes and node.get("bias", True):
            shapes[name + ".bias"] = [shapes[name + ".weight"][0]]
        zeros = {k: torch.zeros(v, dtype=torch.float64) for k, v in shapes.items()}
        value = torch.zeros([1] + x, dtype=torch.float64)
        value = torch.movedim(value, -1, 1) if value.dim() > 2 else value
        y = getattr(Net(model), op)(node, zeros, *[value] * len(node["inputs"]))
        inputs[name] = list((torch.movedim(y, 1, -1) if y.dim() > 2 else y).shape[1:])
    return shapes, inputs[model["nodes"][-1]["name"]]


def loss_of(model, z, target):
    """Mean over the batch of the loss of a sample (BCE: summed over the outputs, MSE: their mean)."""
    if model["loss"] == "softmaxCrossEntropy":
        return F.cross_entropy(z, target)
    if model["loss"] == "bce":
        return F.binary_cross_entropy_with_logits(z, target, reduction="sum") / z.shape[0]
    return F.mse_loss(z, target)


# ---- random data -------------------------------------------------------------------------------


def rng_of(*words):
    return np.random.RandomState(zlib.crc32(" ".join(map(str, words)).encode()) & 0x7FFFFFFF)


def make_tensors(rng, shapes, integers=False):
    tensors = {}
    for name, shape in shapes.items():
        part = name.rsplit(".", 1)[1]
        if integers:
            v = rng.randint(-1, 2, shape)
        elif part == "weight":
            v = rng.uniform(-1, 1, shape) * np.sqrt(3.0 / np.prod(shape[1:]))
        elif part in ("gamma", "variance"):
            v = rng.uniform(0.5, 1.5, shape)
        else:
            v = rng.uniform(-0.3, 0.3, shape)
        tensors[name] = np.asarray(v, np.float32)
    return tensors


def make_target(rng, model, units, batch):
    if model["loss"] == "softmaxCrossEntropy":
        return torch.tensor(rng.randint(0, units, batch), dtype=torch.int64)
    if model["loss"] == "bce":
        return torch.tensor(rng.randint(0, 2, [batch, units]), dtype=torch.float64)
    return torch.tensor(np.float32(rng.uniform(-1, 1, [batch, units])), dtype=torch.float64)


def pack(values, shape=None):
    a = np.asarray(values.detach() if torch.is_tensor(values) else values, dtype="<f4")
    return {"shape": list(a.shape if shape is None else shape), "f32": base64.b64encode(a.tobytes()).decode()}


def pack_target(target):
    return [int(t) for t in target] if target.dtype == torch.int64 else pack(target)


def as_params(tensors, dtype):
    trained = lambda n: not n.endswith((".mean", ".variance"))
    return {n: torch.tensor(t, dtype=dtype).requires_grad_(trained(n)) for n, t in tensors.items()}


def worst(a, b):
    """Largest error relative to the largest value of the tensor: the measure the tests use."""
    a, b = a.detach().double(), b.detach().double()
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-30))


# ---- one layer at a time -----------------------------------------------------------------------


def n(name, op, inputs, **fields):
    return {"name": name, "op": op, "inputs": inputs.split(), **fields}


def describe(input_shape, loss, *nodes):
    return {"format": "tinyprop-model", "version": 1, "input": input_shape, "loss": loss, "nodes": list(nodes)}


def tail(previous, units=2):
    return n("flat", "flatten", previous), n("head", "dense", "flat", units=units)


def layer_cases():
    conv = lambda **f: n("layer", "conv2d", "input", **f)
    stem = n("stem", "conv2d", "input", units=3, kernel=[3, 3], padding="same")
    mse, ce = "mse", "softmaxCrossEntropy"
    yield "dense", describe([7], mse, n("layer", "dense", "input", units=5))
    yield "dense without bias", describe([7], mse, n("layer", "dense", "input", units=5, bias=False))
    yield "dense x3", describe([9], ce, n("a", "dense", "input", units=8), n("b", "dense", "a", units=6),
                               n("c", "dense", "b", units=4))
    for name, fields in (
        ("valid", dict(kernel=[3, 3])),
        ("same", dict(kernel=[3, 3], padding="same")),
        ("same, stride 2", dict(kernel=[3, 3], stride=[2, 2], padding="same")),
        ("valid, stride 2x1", dict(kernel=[2, 3], stride=[2, 1], padding="valid")),
        ("explicit padding", dict(kernel=[3, 2], padding=[0, 2, 1, 0])),
        ("groups 2", dict(kernel=[3, 3], padding="same", groups=2)),
        ("pointwise, no bias", dict(kernel=[1, 1], bias=False)),
        ("even kernel, same", dict(kernel=[4, 2], stride=[1, 2], padding="same")),
    ):
        yield "conv2d " + name, describe([6, 5, 4], ce, conv(units=4, **fields), *tail("layer"))
    # The error into a convolution's input is only seen by the gradient of the layer below it.
    for name, fields in (("same", dict(padding="same")), ("stride 2", dict(stride=[2, 2], padding="same")),
                         ("explicit", dict(padding=[2, 0, 0, 1])), ("groups 3", dict(groups=3))):
        yield "conv2d over conv2d " + name, describe(
            [6, 6, 2], ce, stem, n("layer", "conv2d", "stem", units=6, kernel=[3, 3], **fields), *tail("layer"))
    for name, fields in (("valid", {}), ("same, stride 2", dict(stride=2, padding="same")),
                         ("explicit padding", dict(padding=[2, 1])), ("groups 2", dict(groups=2))):
        yield "conv1d " + name, describe([11, 4], ce, n("stem", "conv1d", "input", units=4, kernel=1),
                                         n("layer", "conv1d", "stem", units=6, kernel=4, **fields), *tail("layer"))
    for name, fields in (("multiplier 1", dict(multiplier=1, kernel=[3, 3], padding="same")),
                         ("multiplier 2", dict(multiplier=2, kernel=[3, 3])),
                         ("stride 2, no bias", dict(multiplier=1, kernel=[3, 3], stride=[2, 2], padding="same",
                                                    bias=False)),
                         ("explicit padding", dict(multiplier=2, kernel=[2, 2], padding=[1, 0, 0, 1]))):
        yield "depthwiseConv2d " + name, describe(
            [6, 5, 2], ce, stem, n("layer", "depthwiseConv2d", "stem", **fields), *tail("layer"))
    for op in ("maxPool2d", "avgPool2d"):
        for name, fields in (("2x2", dict(kernel=[2, 2])),
                             ("3x3 stride 2 same", dict(kernel=[3, 3], stride=[2, 2], padding="same")),
                             ("3x2 stride 1 explicit", dict(kernel=[3, 2], stride=[1, 1], padding=[1, 2, 0, 1]))):
            yield op + " " + name, describe([6, 6, 2], ce, stem, n("layer", op, "stem", **fields), *tail("layer"))
    yield "globalAvgPool", describe([6, 5, 2], ce, stem, n("layer", "globalAvgPool", "stem"), *tail("layer"))
    for op, fields in (("relu", {}), ("relu6", {}), ("leakyRelu", dict(slope=0.1)), ("sigmoid", {}), ("tanh", {})):
        yield op + " after dense", describe([10], ce, n("below", "dense", "input", units=12),
                                            n("layer", op, "below", **fields), n("head", "dense", "layer", units=4))
        yield op + " after conv2d", describe([6, 5, 2], ce, stem, n("layer", op, "stem", **fields), *tail("layer"))
    yield "relu as output", describe([6], mse, n("below", "dense", "input", units=8), n("layer", "relu", "below"))
    yield "batchNorm after conv2d", describe([5, 5, 2], ce, stem, n("layer", "batchNorm", "stem", epsilon=1e-3),
                                             n("act", "relu", "layer"), *tail("act"))
    yield "batchNorm after depthwise", describe(
        [5, 5, 2], ce, n("dw", "depthwiseConv2d", "input", kernel=[3, 3], padding="same", bias=False),
        n("layer", "batchNorm", "dw", epsilon=1e-5), *tail("layer"))
    yield "batchNorm after dense", describe([8], ce, n("below", "dense", "input", units=6),
                                            n("layer", "batchNorm", "below", epsilon=1e-3),
                                            n("head", "dense", "layer", units=3))
    yield "batchNorm on the input", describe([8], ce, n("layer", "batchNorm", "input", epsilon=1e-3),
                                             n("head", "dense", "layer", units=3))
    yield "add, residual block", describe(
        [5, 5, 2], ce, stem, n("act", "relu", "stem"),
        n("inner", "conv2d", "act", units=3, kernel=[3, 3], padding="same"),
        n("layer", "add", "inner act"), n("out", "relu", "layer"), *tail("out"))
    yield "add, two branches", describe(
        [9], ce, n("trunk", "dense", "input", units=7), n("act", "tanh", "trunk"), n("left", "dense", "act", units=5),
        n("right", "dense", "act", units=5), n("layer", "add", "left right"), n("head", "dense", "layer", units=3))
    yield "flatten is h, w, c", describe([3, 4, 2], ce, n("layer", "flatten", "input"),
                                         n("head", "dense", "layer", units=4))
    yield "dropout at evaluation", describe([9], ce, n("below", "dense", "input", units=12),
                                            n("layer", "dropout", "below", rate=0.5),
                                            n("head", "dense", "layer", units=3))
    yield "softmaxCrossEntropy, 2 classes", describe([5], ce, n("layer", "dense", "input", units=2))
    yield "bce, 1 output", describe([5], "bce", n("layer", "dense", "input", units=1))
    yield "bce, 6 outputs", describe([5], "bce", n("layer", "dense", "input", units=6))
    yield "mse, 6 outputs", describe([5], "mse", n("layer", "dense", "input", units=6))
    yield "maxPool2d with ties", describe([4, 4, 1], ce, n("stem", "conv2d", "input", units=2, kernel=[1, 1]),
                                          n("act", "relu", "stem"), n("layer", "maxPool2d", "act", kernel=[2, 2]),
                                          *tail("layer"))


def evaluate(model, tensors, x, target, dtype):
    params, net = as_params(tensors, dtype), Net(model)
    z = net.forward(params, x.to(dtype))
    loss = loss_of(model, z, target if target.dtype == torch.int64 else target.to(dtype))
    loss.backward()
    grads = {name: p.grad for name, p in params.items() if p.grad is not None}
    return net, z, loss, grads


def make_layer_case(name, model):
    shapes, out = tensor_shapes(model)
    ties = "ties" in name
    for attempt in range(100):
        rng = rng_of(name, attempt)
        tensors = make_tensors(rng, shapes, integers=ties)
        scale = 4.0 if "relu6" in name else 1.0        # reach the upper kink too
        x = rng.randint(0, 3, [1] + model["input"]) if ties else rng.normal(0, scale, [1] + model["input"])
        x = torch.tensor(np.float32(x), dtype=torch.float64)
        target = make_target(rng, model, int(np.prod(out)), 1)
        net, z, loss, grads = evaluate(model, tensors, x, target, torch.float64)
        _, z32, _, grads32 = evaluate(model, tensors, x, target, torch.float32)
        error = max([worst(z32, z)] + [worst(grads32[k], g) for k, g in grads.items()])
        small = min(float(g.abs().max()) for g in grads.values())
        if (ties or net.margin > 1e-4) and error < 2e-6 and small > 1e-3:
            break
    else:
        raise SystemExit("no well-conditioned data for " + name)
    case = {"name": name, "model": model, "tensors": {k: pack(t) for k, t in tensors.items()}, "input": pack(x[0]),
            "target": int(target[0]) if target.dtype == torch.int64 else pack(target[0]),
            "output": pack(z[0]), "loss": float(loss)}
    # A training step would drop units: gradients are only those of evaluation, so none is stored.
    if not any(node["op"] == "dropout" for node in model["nodes"]):
        case["gradients"] = {k: pack(g) for k, g in grads.items()}
    return case


# ---- twenty steps ------------------------------------------------------------------------------


# The lazy rules of momentum and weight decay leave a row alone whose error is exactly zero (dead ReLU);
# PyTorch's do not. Both are the same where no row has a zero error: with tanh.
PLAIN = [dict(batch=b, momentum=0.0, weightDecay=0.0) for b in (1, 4)]
FULL = PLAIN + [dict(batch=b, momentum=m, weightDecay=d)
                for b, m, d in ((1, 0.9, 0.0), (1, 0.0, 0.01), (4, 0.9, 0.0), (4, 0.9, 0.01))]


def training_models():
    ce = "softmaxCrossEntropy"
    for act, recipes in (("relu", PLAIN), ("tanh", FULL)):
        yield "mlp " + act, 20, recipes, describe(
            [20], ce, n("dense1", "dense", "input", units=16), n("act1", act, "dense1"),
            n("dense2", "dense", "act1", units=12), n("act2", act, "dense2"), n("dense3", "dense", "act2", units=5))
        yield "cnn " + act, 10, recipes, describe(
            [10, 10, 2], ce, n("conv1", "conv2d", "input", units=4, kernel=[3, 3], padding="same"),
            n("act1", act, "conv1"), n("pool1", "maxPool2d", "act1", kernel=[2, 2]),
            n("conv2", "conv2d", "pool1", units=6, kernel=[3, 3], stride=[2, 2]), n("act2", act, "conv2"),
            n("flat", "flatten", "act2"), n("dense1", "dense", "flat", units=12), n("act3", act, "dense1"),
            n("dense2", "dense", "act3", units=4))


def train(model, tensors, xs, labels, recipe, dtype):
    """Returns (loss of every step, weights afterwards, kink margin); sample i of the run is i mod len(xs)."""
    params, net = as_params(tensors, dtype), Net(model)
    losses, batch, lr = [], recipe["batch"], recipe["lr"]
    sgd = torch.optim.SGD(params.values(), lr=lr, momentum=recipe["momentum"])
    for step in range(STEPS):
        index = [(step * batch + i) % len(xs) for i in range(batch)]
        loss = loss_of(model, net.forward(params, xs[index].to(dtype)), labels[index])
        sgd.zero_grad()
        loss.backward()
        losses.append(float(loss))
        with torch.no_grad():              # decoupled decay, weights only, before the gradient's update
            for k, p in params.items():
                if k.endswith(".weight"):
                    p *= 1.0 - lr * recipe["weightDecay"]
        sgd.step()
    return losses, params, net.margin


def make_training(name, count, recipes, model):
    shapes, out = tensor_shapes(model)
    for attempt in range(1000):
        rng = rng_of("training", name, attempt)
        tensors = make_tensors(rng, shapes)
        xs = torch.tensor(np.float32(rng.normal(0, 1, [count] + model["input"])), dtype=torch.float64)
        labels = torch.tensor(rng.randint(0, out[0], count), dtype=torch.int64)
        runs = []
        for recipe in recipes:
            recipe = dict(recipe, lr=0.05 if recipe["momentum"] == 0 else 0.01)
            losses, params, margin = train(model, tensors, xs, labels, recipe, torch.float64)
            _, single, _ = train(model, tensors, xs, labels, recipe, torch.float32)
            if margin < KINK_MARGIN or max(worst(single[k], p) for k, p in params.items()) > 2e-6:
                break
            runs.append(dict(recipe, steps=STEPS, losses=losses, tensors={k: pack(p) for k, p in params.items()}))
        if len(runs) == len(recipes):
            return {"name": name, "model": model, "tensors": {k: pack(t) for k, t in tensors.items()},
                    "inputs": pack(xs), "labels": pack_target(labels), "runs": runs}
    raise SystemExit("no well-conditioned data for " + name)


def write(file, cases):
    head = {"format": "tinyprop-fixture", "version": 1, "generator": "tools/make-fixtures.py"}
    text = json.dumps(head)[:-1] + ', "cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n]}\n"
    path = os.path.join(OUT, file)
    with open(path + ".tmp", "w") as f:
        f.write(text)
    os.replace(path + ".tmp", path)
    print("%s: %d cases, %d bytes" % (file, len(cases), len(text)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    write("torch-layers.json", [make_layer_case(name, model) for name, model in layer_cases()])
    write("torch-training.json", [make_training(*case) for case in training_models()])
