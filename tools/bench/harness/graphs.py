"""Multiply-adds and bytes of a network in an ONNX file."""

from dataclasses import dataclass
from functools import cache
from math import prod

import onnx
from onnx import numpy_helper


@dataclass(frozen=True)
class Work:
    """Multiply-adds, and bytes that must be moved."""

    multiply_adds: int
    bytes: int

    def __add__(self, other: "Work") -> "Work":
        return Work(self.multiply_adds + other.multiply_adds, self.bytes + other.bytes)


@cache
def work_of(model: str | bytes, shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> Work:
    """The convolutions and matrix products of one run; the bytes are those of the weights.

    Args:
        model: a file, or its content.
        shapes: of the inputs, by name.
    """
    graph = _shaped(model, dict(shapes)).graph
    known = {v.name: _dims(v) for v in (*graph.value_info, *graph.input, *graph.output)}
    known |= {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    total = sum(_multiply_adds(node, known) for node in graph.node)
    weights = sum(numpy_helper.to_array(tensor).nbytes for tensor in graph.initializer)
    return Work(total, weights)


def _shaped(model: str | bytes, shapes: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
    """The model with its inputs' shapes put in, and all others that follow."""
    loaded = onnx.load(model) if isinstance(model, str) else onnx.load_from_string(model)
    del loaded.graph.value_info[:]
    for port in loaded.graph.input:
        if port.name in shapes:
            for dim, size in zip(port.type.tensor_type.shape.dim, shapes[port.name], strict=True):
                dim.dim_value = size
    for port in loaded.graph.output:
        port.type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(loaded, data_prop=True)


def _dims(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


def _multiply_adds(node: onnx.NodeProto, known: dict[str, tuple[int, ...]]) -> int:
    """Of a convolution or product; 0 for anything else, as it is little beside these."""
    if node.op_type in ("Conv", "FusedConv"):  # weights (out, in / groups, *kernel)
        return prod(known.get(node.output[0], (0,))) * prod(known[node.input[1]][1:])
    if node.op_type == "ConvTranspose":  # weights (in, out / groups, *kernel)
        return prod(known.get(node.input[0], (0,))) * prod(known[node.input[1]][1:])
    if node.op_type in ("Gemm", "MatMul"):
        inner = known.get(node.input[0], (0,))
        return prod(known.get(node.output[0], (0,))) * inner[-1]
    return 0
