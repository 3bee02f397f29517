"""Small face networks for the tests, in exactly the format of those that users have."""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from lumosx_core.faces.release_networks import ARCFACE

STRIDES = (8, 16, 32)
BOX = (2, 3, 1, 4)
"""Distances from an anchor to the left, top, right and bottom, in strides."""
POINTS = np.array([[-1, -1.5], [1, -1.25], [0.25, 0.5], [-0.75, 1.5], [0.5, 1.75]])
"""Landmarks from an anchor, in strides."""


def write_onnx(path, nodes, inputs, outputs, weights=()):
    """An ONNX file; inputs and outputs are {name: shape}."""
    def values(shapes):
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    tensors = [numpy_helper.from_array(array, name) for name, array in weights]
    graph = helper.make_graph(nodes, "net", values(inputs), values(outputs), tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def write_detector(path):
    """SCRFD's nine outputs, two anchors a cell: stride 8 is sure of red pixels, 16 of green and 32 of blue ones."""
    nodes, outputs, weights = [], {}, [("score shape", np.array([-1, 1])), ("box shape", np.array([-1, 4])),
                                       ("points shape", np.array([-1, 10]))]
    for kind, channels in (("score", 1), ("box", 4), ("points", 10)):
        for stride, colour in zip(STRIDES, np.eye(3, dtype=np.float32)):
            name = f"{kind} {stride}"
            kernel = np.zeros((2 * channels, 3, 1, 1), np.float32)
            bias = np.tile({"score": [0], "box": BOX, "points": POINTS.reshape(-1)}[kind], 2).astype(np.float32)
            if kind == "score":
                # About 6 for the pure colour, -6 and less elsewhere; the second anchor is never sure.
                kernel[0, :, 0, 0] = 12 * colour - 6
                bias = np.array([-12, -20], np.float32)
            weights += [(f"{name} kernel", kernel), (f"{name} bias", bias)]
            nodes += [
                helper.make_node(
                    "Conv", ["input", f"{name} kernel", f"{name} bias"], [f"{name} map"], strides=[stride, stride]
                ),
                helper.make_node("Transpose", [f"{name} map"], [f"{name} last"], perm=[0, 2, 3, 1]),
                helper.make_node(
                    "Reshape", [f"{name} last", f"{kind} shape"], [f"{name} raw" if kind == "score" else name]
                ),
            ]
            if kind == "score":
                nodes.append(helper.make_node("Sigmoid", [f"{name} raw"], [name]))
            outputs[name] = [12800 * 64 // stride**2, channels]
    return write_onnx(path, nodes, {"input": [1, 3, "?", "?"]}, outputs, weights)


def projection(width=4):
    return np.random.default_rng(5).normal(size=(width, 3 * 112 * 112)).astype(np.float32)


def write_recogniser(path, batch=None, scales_itself=False, size=112):
    """A fixed linear map of the picture; ``scales_itself`` as mxnet's exports, which take 0 to 255."""
    nodes, start = [], "input.1"
    weights = [("map", projection() if size == 112 else np.ones((4, 3 * size * size), np.float32))]
    if scales_itself:
        weights += [("mean", np.float32([127.5])), ("scale", np.float32([1 / 127.5]))]
        nodes = [helper.make_node("Sub", [start, "mean"], ["centred"], name="_minusscalar0"),
                 helper.make_node("Mul", ["centred", "scale"], ["scaled"], name="_mulscalar0")]
        start = "scaled"
    nodes += [helper.make_node("Flatten", [start], ["flat"], name="Flatten_1"),
              helper.make_node("Gemm", ["flat", "map"], ["683"], transB=1, name="Gemm_2")]
    return write_onnx(path, nodes, {"input.1": [batch or "None", 3, size, size]}, {"683": [batch or 1, 4]}, weights)


WIDTHS, DEPTHS, WIDTH = (4, 6, 8, 10), (2, 1, 3, 2), 5
RELEASE_BLOCK = {  # ArcFace's name, CurricularFace's name, what it is
    "bn1": ("res_layer.0", "norm in"), "conv1": ("res_layer.1", "conv in"), "bn2": ("res_layer.2", "norm"),
    "prelu": ("res_layer.3", "slope"), "conv2": ("res_layer.4", "conv"), "bn3": ("res_layer.5", "norm"),
    "downsample.0": ("shortcut_layer.0", "shortcut"), "downsample.1": ("shortcut_layer.1", "norm"),
}


def layers(kind, widths=WIDTHS, depths=DEPTHS, width=WIDTH):
    """(name, shape of its weight or None, whether it is a norm) of every layer, as the published files have them."""
    arc = kind == ARCFACE
    yield "conv1" if arc else "input_layer.0", (widths[0], 3, 3, 3), False
    yield "bn1" if arc else "input_layer.1", (widths[0],), True
    yield "prelu" if arc else "input_layer.2", (widths[0],), False
    before, number = widths[0], 0
    for stage, (after, depth) in enumerate(zip(widths, depths), 1):
        for block in range(depth):
            shapes = {
                "norm in": (before,), "conv in": (after, before, 3, 3), "norm": (after,), "slope": (after,),
                "conv": (after, after, 3, 3), "shortcut": (after, before, 1, 1),
            }
            for name, (other, what) in RELEASE_BLOCK.items():
                if name.startswith("downsample") and not (before != after or (arc and block == 0)):
                    continue
                full = f"layer{stage}.{block}.{name}" if arc else f"body.{number}.{other}"
                yield full, shapes[what], what.startswith("norm")
            before, number = after, number + 1
    yield "bn2" if arc else "output_layer.0", (widths[-1],), True
    yield "fc" if arc else "output_layer.3", (width, widths[-1] * 49), False
    yield "features" if arc else "output_layer.4", (width,) if arc else None, True


def make_state(kind, counters=True, **sizes):
    """A state dict of the published names and shapes with random numbers."""
    random = torch.Generator().manual_seed(7)
    width = sizes.get("width", WIDTH)
    state = {}
    for name, shape, norm in layers(kind, **sizes):
        if shape is not None:
            state[f"{name}.weight"] = torch.randn(shape, generator=random) * (0.5 if len(shape) < 2 else 0.2)
        if norm and shape is not None or name in ("fc", "output_layer.3"):
            state[f"{name}.bias"] = torch.randn(shape[0], generator=random)
        if norm:
            state[f"{name}.running_mean"] = torch.randn(shape or (width,), generator=random)
            state[f"{name}.running_var"] = torch.rand(shape or (width,), generator=random) + 0.5
            if counters:
                state[f"{name}.num_batches_tracked"] = torch.tensor(9)
    return state
