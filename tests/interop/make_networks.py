# SPDX-License-Identifier: Apache-2.0
"""Writes one ONNX file for each family of networks, narrow, with random weights: python3 make_networks.py FOLDER

They are built with Debian's python3-onnx, as exporters write them (decomposed activations, shape arithmetic around reshapes, old and new operator
sets), so that the importer meets files that bitwright did not make itself.
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    """Collects nodes and weights; every method returns the name of its output."""

    def __init__(self, name, image, opset):
        self.name, self.image, self.opset = name, image, opset
        self.nodes, self.weights = [], []
        self.random = np.random.RandomState(sum(map(ord, name)))
        self.count = 0

    def op(self, kind, inputs, **attributes):
        self.count += 1
        output = f"v{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"{kind}_{self.count}", **attributes))
        return output

    def const(self, values, kind=np.float32):
        self.count += 1
        self.weights.append(numpy_helper.from_array(np.array(values, dtype=kind), f"w{self.count}"))
        return f"w{self.count}"

    def ints(self, values):
        return self.const(values, np.int64)

    def normal(self, shape, deviation):
        return self.const(self.random.normal(0, deviation, shape))

    def conv(self, x, c_in, c_out, k, stride=1, pad=0, group=1, bias=True, dilation=1, **more):
        kh, kw = k if isinstance(k, tuple) else (k, k)
        ph, pw = pad if isinstance(pad, tuple) else (pad, pad)
        inputs = [x, self.normal((c_out, c_in // group, kh, kw), (2.0 / (c_in // group * kh * kw)) ** 0.5)]
        if bias:
            inputs.append(self.normal((c_out,), 0.1))
        attributes = dict(kernel_shape=[kh, kw], strides=[stride, stride], group=group, dilations=[dilation, dilation])
        if "auto_pad" not in more:
            attributes["pads"] = [ph, pw, ph, pw]
        return self.op("Conv", inputs, **attributes, **more)

    def bn(self, x, c):
        uniform = lambda: self.const(self.random.uniform(0.5, 1.5, (c,)))
        return self.op("BatchNormalization", [x, uniform(), self.normal((c,), 0.1), self.normal((c,), 0.1), uniform()], epsilon=1e-5)

    def relu(self, x):
        return self.op("Relu", [x])

    def conv_bn(self, x, c_in, c_out, k, stride=1, pad=0, group=1):
        return self.bn(self.conv(x, c_in, c_out, k, stride, pad, group, bias=False), c_out)

    def conv_bn_relu(self, *arguments, **more):
        return self.relu(self.conv_bn(*arguments, **more))

    def clip(self, x, low, high):
        if self.opset < 11:
            return self.op("Clip", [x], min=low, max=high)
        return self.op("Clip", [x, self.const(low), self.const(high)])

    def max_pool(self, x, k, stride, pad=0, **more):
        return self.op("MaxPool", [x], kernel_shape=[k, k], strides=[stride, stride], pads=[pad] * 4, **more)

    def average_pool(self, x, k, stride, pad=0, **more):
        return self.op("AveragePool", [x], kernel_shape=[k, k], strides=[stride, stride], pads=[pad] * 4, **more)

    def flatten(self, x):
        return self.op("Flatten", [x], axis=1)

    def flatten_by_shape(self, x):
        """The chain that older PyTorch wrote for x.view(x.size(0), -1)."""
        batch = self.op("Gather", [self.op("Shape", [x]), self.const(0, np.int64)], axis=0)
        if self.opset < 13:
            first, rest = (self.op("Unsqueeze", [v], axes=[0]) for v in (batch, self.const(-1, np.int64)))
        else:
            first, rest = (self.op("Unsqueeze", [v, self.ints([0])]) for v in (batch, self.const(-1, np.int64)))
        return self.op("Reshape", [x, self.op("Concat", [first, rest], axis=0)])

    def gemm(self, x, n_in, n_out):
        return self.op("Gemm", [x, self.normal((n_out, n_in), (1.0 / n_in) ** 0.5), self.normal((n_out,), 0.1)], transB=1)

    def sigmoid(self, x):
        return self.op("Sigmoid", [x])

    def mul(self, x, y):
        return self.op("Mul", [x, y])

    def add(self, x, y):
        return self.op("Add", [x, y])

    def dropout(self, x):
        return self.op("Dropout", [x], **({"ratio": 0.5} if self.opset < 12 else {}))

    def save(self, folder, output):
        graph = helper.make_graph(
            self.nodes, self.name,
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch"] + list(self.image))],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", 10])], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], producer_name="families")
        model.ir_version = 8
        onnx.checker.check_model(model)
        onnx.save(model, f"{folder}/{self.name}.onnx")


def alexnet(n):
    x = n.op("LRN", [n.relu(n.conv("images", 3, 24, 11, 4, 2))], size=5, alpha=1e-4, beta=0.75, bias=1.0)
    x = n.max_pool(x, 3, 2)
    x = n.op("LRN", [n.relu(n.conv(x, 24, 32, 5, 1, 2, group=2))], size=5, alpha=1e-4, beta=0.75, bias=1.0)
    x = n.max_pool(x, 3, 2)
    x = n.relu(n.conv(x, 32, 48, 3, 1, 1))
    x = n.relu(n.conv(x, 48, 48, 3, 1, 1, group=2))
    x = n.max_pool(n.relu(n.conv(x, 48, 32, 3, 1, 1, group=2)), 3, 2)
    x = n.dropout(n.relu(n.gemm(n.flatten(x), 32 * 3 * 3, 64)))
    x = n.dropout(n.relu(n.gemm(x, 64, 64)))
    return n.op("Softmax", [n.gemm(x, 64, 10)], axis=1)


def vgg(n):
    x, c = "images", 3
    for width in [8, 8, 0, 16, 16, 0, 24, 24, 24, 0, 32, 32, 32, 0, 32, 32, 32, 0]:
        if width == 0:
            x = n.max_pool(x, 2, 2)
        else:
            x, c = n.relu(n.conv(x, c, width, 3, 1, 1)), width
    x = n.dropout(n.relu(n.gemm(n.flatten_by_shape(x), 32 * 2 * 2, 48)))
    return n.gemm(x, 48, 10)


def inception(n, x, c, sizes, pool):
    one, three_in, three, five_in, five, project = sizes
    a = n.relu(n.conv(x, c, one, 1))
    b = n.relu(n.conv(n.relu(n.conv(x, c, three_in, 1)), three_in, three, 3, 1, 1))
    d = n.relu(n.conv(n.relu(n.conv(x, c, five_in, 1)), five_in, five, 5, 1, 2))
    e = n.relu(n.conv(pool(x), c, project, 1))
    return n.op("Concat", [a, b, d, e], axis=1), one + three + five + project


def googlenet(n):
    x = n.max_pool(n.relu(n.conv("images", 3, 16, 7, 2, 3)), 3, 2, 0, ceil_mode=1)
    x = n.op("LRN", [x], size=5, alpha=1e-4, beta=0.75, bias=1.0)
    x = n.relu(n.conv(n.relu(n.conv(x, 16, 16, 1)), 16, 32, 3, 1, 1))
    x = n.max_pool(n.op("LRN", [x], size=5), 3, 2, 0, ceil_mode=1)
    x, c = inception(n, x, 32, (8, 12, 16, 4, 8, 8), lambda v: n.max_pool(v, 3, 1, 1))
    x, c = inception(n, x, c, (8, 12, 16, 4, 8, 8), lambda v: n.max_pool(v, 3, 1, 1))
    x = n.average_pool(x, 8, 1)
    return n.gemm(n.dropout(n.flatten(x)), c, 10)


def inception_v3(n):
    x = n.conv_bn_relu("images", 3, 16, 3, 2)
    x = n.conv_bn_relu(x, 16, 16, 3, 1, 1)
    x, c = inception(n, x, 16, (8, 8, 12, 6, 8, 4), lambda v: n.average_pool(v, 3, 1, 1, count_include_pad=1))
    a = n.conv_bn_relu(x, c, 8, 1)
    b = n.conv_bn_relu(x, c, 8, 1)
    b = n.conv_bn_relu(n.conv_bn_relu(b, 8, 8, (1, 7), 1, (0, 3)), 8, 12, (7, 1), 1, (3, 0))
    d = n.conv_bn_relu(n.average_pool(x, 3, 1, 1), c, 8, 1)
    x = n.op("Concat", [a, b, d], axis=1)
    x = n.op("Concat", [n.conv_bn_relu(x, 28, 16, 3, 2), n.max_pool(x, 3, 2)], axis=1)
    x = n.op("GlobalAveragePool", [x])
    if n.opset >= 13:
        x = n.op("Squeeze", [x, n.ints([2, 3])])
    else:
        x = n.op("Squeeze", [x], axes=[2, 3])
    return n.gemm(x, 44, 10)


def resnet(n):
    def basic(x, c_in, c_out, stride):
        y = n.conv_bn(n.conv_bn_relu(x, c_in, c_out, 3, stride, 1), c_out, c_out, 3, 1, 1)
        skip = x if stride == 1 and c_in == c_out else n.conv_bn(x, c_in, c_out, 1, stride)
        return n.relu(n.add(y, skip))

    def bottleneck(x, c_in, width, stride):
        y = n.conv_bn_relu(n.conv_bn_relu(x, c_in, width, 1), width, width, 3, stride, 1)
        y = n.conv_bn(y, width, 4 * width, 1)
        skip = x if stride == 1 and c_in == 4 * width else n.conv_bn(x, c_in, 4 * width, 1, stride)
        return n.relu(n.add(y, skip))

    x = n.max_pool(n.conv_bn_relu("images", 3, 16, 7, 2, 3), 3, 2, 1)
    x = basic(basic(x, 16, 16, 1), 16, 24, 2)
    x = bottleneck(bottleneck(x, 24, 8, 2), 32, 8, 1)
    return n.gemm(n.flatten_by_shape(n.op("GlobalAveragePool", [x])), 32, 10)


def wide_resnet(n):
    def block(x, c_in, c_out, stride):
        y = n.relu(n.bn(x, c_in))
        skip = x if stride == 1 and c_in == c_out else n.conv(y, c_in, c_out, 1, stride, bias=False)
        y = n.dropout(n.relu(n.bn(n.conv(y, c_in, c_out, 3, stride, 1, bias=False), c_out)))
        return n.add(n.conv(y, c_out, c_out, 3, 1, 1, bias=False), skip)

    x = n.conv("images", 3, 8, 3, 1, 1, bias=False)
    x = block(block(block(x, 8, 32, 1), 32, 48, 2), 48, 64, 2)
    x = n.average_pool(n.relu(n.bn(x, 64)), 8, 8)
    return n.gemm(n.op("Reshape", [x, n.ints([-1, 64])]), 64, 10)


def densenet(n):
    x, c = n.max_pool(n.conv_bn_relu("images", 3, 16, 7, 2, 3), 3, 2, 1), 16
    for block in range(2):
        for _ in range(3):
            y = n.conv(n.relu(n.bn(x, c)), c, 24, 1, bias=False)
            y = n.conv(n.relu(n.bn(y, 24)), 24, 8, 3, 1, 1, bias=False)
            x, c = n.op("Concat", [x, y], axis=1), c + 8
        if block == 0:
            x = n.average_pool(n.conv(n.relu(n.bn(x, c)), c, c // 2, 1, bias=False), 2, 2)
            c //= 2
    x = n.op("GlobalAveragePool", [n.relu(n.bn(x, c))])
    return n.gemm(n.flatten(x), c, 10)


def squeezenet(n):
    def fire(x, c_in, squeeze, expand):
        s = n.relu(n.conv(x, c_in, squeeze, 1))
        return n.op("Concat", [n.relu(n.conv(s, squeeze, expand, 1)), n.relu(n.conv(s, squeeze, expand, 3, 1, 1))], axis=1)

    x = n.max_pool(n.relu(n.conv("images", 3, 16, 3, 2)), 3, 2, 0, ceil_mode=1)
    x = fire(fire(x, 16, 4, 12), 24, 4, 12)
    x = fire(n.max_pool(x, 3, 2, 0, ceil_mode=1), 24, 6, 16)
    x = n.op("GlobalAveragePool", [n.relu(n.conv(n.dropout(x), 32, 10, 1))])
    return n.flatten(x)


def mobilenet_v1(n):
    x = n.conv_bn_relu("images", 3, 8, 3, 2, 1)
    for c_in, c_out, stride in [(8, 16, 1), (16, 24, 2), (24, 24, 1), (24, 32, 2)]:
        x = n.conv_bn_relu(x, c_in, c_in, 3, stride, 1, group=c_in)
        x = n.conv_bn_relu(x, c_in, c_out, 1)
    x = n.op("ReduceMean", [x], axes=[2, 3], keepdims=0)
    return n.gemm(x, 32, 10)


def mobilenet_v2(n):
    six = lambda v: n.clip(v, 0.0, 6.0)
    x = six(n.conv_bn("images", 3, 8, 3, 2, 1))
    for c_in, c_out, stride, expand in [(8, 8, 1, 1), (8, 12, 2, 4), (12, 12, 1, 4), (12, 16, 2, 4)]:
        y, wide = x, c_in * expand
        if expand > 1:
            y = six(n.conv_bn(y, c_in, wide, 1))
        y = n.conv_bn(six(n.conv_bn(y, wide, wide, 3, stride, 1, group=wide)), wide, c_out, 1)
        x = n.add(x, y) if stride == 1 and c_in == c_out else y
    x = six(n.conv_bn(x, 16, 32, 1))
    return n.gemm(n.flatten(n.op("GlobalAveragePool", [x])), 32, 10)


def mobilenet_v3(n):
    def swish(v, decomposed):
        if not decomposed and n.opset >= 14:
            return n.op("HardSwish", [v])
        return n.op("Div", [n.mul(v, n.clip(n.add(v, n.const(3.0)), 0.0, 6.0)), n.const(6.0)])

    def squeeze_excite(v, c):
        s = n.op("GlobalAveragePool", [v])
        s = n.op("HardSigmoid", [n.conv(n.relu(n.conv(s, c, c // 4, 1)), c // 4, c, 1)], alpha=1.0 / 6, beta=0.5)
        return n.mul(v, s)

    x = swish(n.conv_bn("images", 3, 8, 3, 2, 1), True)
    for c_in, wide, c_out, k, stride in [(8, 16, 8, 3, 1), (8, 24, 12, 5, 2), (12, 36, 12, 5, 1)]:
        y = swish(n.conv_bn(x, c_in, wide, 1), False)
        y = squeeze_excite(swish(n.conv_bn(y, wide, wide, k, stride, k // 2, group=wide), True), wide)
        y = n.conv_bn(y, wide, c_out, 1)
        x = n.add(x, y) if stride == 1 and c_in == c_out else y
    x = n.flatten(n.op("GlobalAveragePool", [swish(n.conv_bn(x, 12, 24, 1), False)]))
    return n.gemm(swish(n.gemm(x, 24, 32), True), 32, 10)


def shufflenet(n):
    def shuffle(x, c, groups, side):
        x = n.op("Reshape", [x, n.ints([-1, groups, c // groups, side, side])])
        x = n.op("Transpose", [x], perm=[0, 2, 1, 3, 4])
        return n.op("Reshape", [x, n.ints([-1, c, side, side])])

    x = n.max_pool(n.conv_bn_relu("images", 3, 24, 3, 2, 1), 3, 2, 1)  # 24 x 16 x 16
    y = n.conv_bn_relu(x, 24, 12, 1, group=3)
    y = n.conv_bn(shuffle(y, 12, 3, 16), 12, 12, 3, 1, 1, group=12)
    x = n.relu(n.add(n.conv_bn(y, 12, 24, 1, group=3), x))
    # Version 2: half of the channels pass, the other half is worked on.
    if n.opset >= 13:
        outputs = ["left", "right"]
        n.nodes.append(helper.make_node("Split", [x, n.ints([12, 12])], outputs, axis=1))
    else:
        outputs = ["left", "right"]
        n.nodes.append(helper.make_node("Split", [x], outputs, axis=1, split=[12, 12]))
    y = n.conv_bn_relu(n.conv_bn(n.conv_bn_relu("right", 12, 12, 1), 12, 12, 3, 1, 1, group=12), 12, 12, 1)
    x = shuffle(n.op("Concat", ["left", y], axis=1), 24, 2, 16)
    return n.gemm(n.op("ReduceMean", [x], axes=[2, 3], keepdims=0), 24, 10)


def efficientnet(n):
    swish = lambda v: n.mul(v, n.sigmoid(v))
    x = swish(n.bn(n.conv("images", 3, 8, 3, 2, bias=False, auto_pad="SAME_UPPER"), 8))
    for c_in, wide, c_out, k, stride in [(8, 16, 12, 3, 1), (12, 36, 12, 5, 1), (12, 36, 16, 3, 2)]:
        y = swish(n.conv_bn(x, c_in, wide, 1))
        y = swish(n.bn(n.conv(y, wide, wide, k, stride, group=wide, bias=False, auto_pad="SAME_UPPER"), wide))
        s = n.op("ReduceMean", [y], axes=[2, 3], keepdims=1)
        y = n.mul(y, n.sigmoid(n.conv(swish(n.conv(s, wide, 4, 1)), 4, wide, 1)))
        y = n.conv_bn(y, wide, c_out, 1)
        x = n.add(x, y) if stride == 1 and c_in == c_out else y
    x = n.op("GlobalAveragePool", [swish(n.conv_bn(x, 16, 32, 1))])
    return n.gemm(n.dropout(n.flatten(x)), 32, 10)


def encoder(n):
    """A Transformer encoder block on 12 tokens of 32 numbers, normalized after each half, with 4 heads."""
    tokens, width, heads = 12, 32, 4

    def linear(x, n_in, n_out):
        return n.add(n.op("MatMul", [x, n.normal((n_in, n_out), (1.0 / n_in) ** 0.5)]), n.normal((n_out,), 0.1))

    def split_heads(x, perm):
        return n.op("Transpose", [n.op("Reshape", [x, n.ints([0, tokens, heads, width // heads])])], perm=perm)

    def normalize(x):
        scale, shift = n.const(n.random.uniform(0.5, 1.5, (width,))), n.normal((width,), 0.1)
        if n.opset >= 17:
            return n.op("LayerNormalization", [x, scale, shift], axis=-1, epsilon=1e-5)
        centered = n.op("Sub", [x, n.op("ReduceMean", [x], axes=[-1])])
        variance = n.op("ReduceMean", [n.op("Pow", [centered, n.const(2.0)])], axes=[-1])
        deviation = n.op("Sqrt", [n.add(variance, n.const(1e-5))])
        return n.add(n.mul(n.op("Div", [centered, deviation]), scale), shift)

    def gelu(x):
        erf = n.op("Erf", [n.op("Div", [x, n.const(2.0 ** 0.5)])])
        return n.mul(n.mul(x, n.add(erf, n.const(1.0))), n.const(0.5))

    x = n.add("images", n.normal((1, tokens, width), 0.1))
    query, value = (split_heads(linear(x, width, width), [0, 2, 1, 3]) for _ in range(2))
    key = split_heads(linear(x, width, width), [0, 2, 3, 1])
    scores = n.op("Div", [n.op("MatMul", [query, key]), n.const((width / heads) ** 0.5)])
    mixed = n.op("MatMul", [n.op("Softmax", [scores], axis=-1), value])
    mixed = n.op("Reshape", [n.op("Transpose", [mixed], perm=[0, 2, 1, 3]), n.ints([0, 0, -1])])
    x = normalize(n.add(x, linear(mixed, width, width)))
    x = normalize(n.add(x, linear(gelu(linear(x, width, 64)), 64, width)))
    if n.opset >= 17:
        first = n.op("Gather", [x, n.const(0, np.int64)], axis=1)
    else:
        first = n.op("Slice", [x, n.ints([0]), n.ints([1]), n.ints([1])])
        first = n.op("Reshape", [first, n.ints([-1, width])])
    return n.gemm(first, width, 10)


NETWORKS = [
    (alexnet, (3, 127, 127), 7), (vgg, (3, 64, 64), 9), (googlenet, (3, 63, 63), 11), (inception_v3, (3, 35, 35), 13),
    (resnet, (3, 64, 64), 11), (wide_resnet, (3, 32, 32), 14), (densenet, (3, 64, 64), 9), (squeezenet, (3, 47, 47), 10),
    (mobilenet_v1, (3, 32, 32), 12), (mobilenet_v2, (3, 32, 32), 10), (mobilenet_v2, (3, 32, 32), 16), (mobilenet_v3, (3, 32, 32), 11),
    (mobilenet_v3, (3, 32, 32), 14), (shufflenet, (3, 64, 64), 11), (shufflenet, (3, 64, 64), 13), (efficientnet, (3, 33, 33), 13),
    (encoder, (12, 32), 14), (encoder, (12, 32), 17),
]

if __name__ == "__main__":
    for build, image, opset in NETWORKS:
        net = Net(f"{build.__name__}_opset{opset}", image, opset)
        net.save(sys.argv[1], build(net))
