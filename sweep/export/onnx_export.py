"""Torch to ONNX: trace, fold, check. Tensors are NCHW, shapes are fixed."""

import tempfile
import warnings
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import AttributeProto, ModelProto, NodeProto, helper, numpy_helper, shape_inference
from torch import Tensor, nn

from sweep.export.errors import UnsupportedOperatorError
from sweep.export.graph import Attribute, Node, OnnxGraph, Shape
from sweep.models import FRAME_SIZE, DepthNetwork
from sweep.models.collapse import collapsed

OPSET = 17
INPUT_NAME = "rgb"
OUTPUT_NAME = "depth_mm"


class FrameToDepth(nn.Module):
    """Makes ``depth_mm``, the function to export, a module's forward."""

    def __init__(self, network: DepthNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        return self.network.depth_mm(frames)


def network_to_onnx(network: DepthNetwork) -> ModelProto:
    """``depth_mm`` of a network on the CPU: 1x3x480x640 RGB 0..255 to 1x1x480x640 millimetres."""
    return module_to_onnx(FrameToDepth(collapsed(network)), torch.zeros(1, 3, *FRAME_SIZE))


def module_to_onnx(module: nn.Module, example: Tensor) -> ModelProto:
    """A checked ONNX model with batch normalisation folded, shapes inferred and every constant computed.

    The module is switched to evaluation mode.
    """
    with tempfile.TemporaryDirectory(prefix="depth-sweep-export-") as directory:
        traced, folded = Path(directory, "traced.onnx"), Path(directory, "folded.onnx")
        trace(module.eval(), example, traced)
        fold(traced, folded)
        model = onnx.load(folded)
    # ONNX Runtime declares all the operator sets that it knows; only the standard one is in use.
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    model = shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model)
    return cast(ModelProto, model)


def trace(module: nn.Module, example: Tensor, path: Path) -> None:
    """Write the module's ONNX form for inputs of the example's shape."""
    with warnings.catch_warnings():
        # The exporter built on TorchScript is ten times faster than its successor, and says it is old.
        warnings.simplefilter("ignore", DeprecationWarning)
        # It leaves a few constants to the folding that follows, and says so.
        warnings.filterwarnings("ignore", category=UserWarning, message="Constant folding.*")
        torch.onnx.export(
            module,
            (example,),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
        )


def fold(path: Path, folded_path: Path) -> None:
    """ONNX Runtime's basic optimisations: constants are computed (the shape arithmetic around a resize among
    them) and dead nodes dropped. A session hands its graph out as a file only."""
    options = session_options(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC)
    options.optimized_model_filepath = str(folded_path)
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def session_options(level: onnxruntime.GraphOptimizationLevel) -> onnxruntime.SessionOptions:
    """Quiet, and one thread: the export shares its machine with training and judging."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return options


def exact_nearest(model: ModelProto) -> ModelProto:
    """The model with nearest-neighbour resizes by other than a whole factor spelled as row and column picks.

    Torch and TFLite pick the source pixel floor(i * (size / new_size)); ONNX Runtime computes
    floor(i / (new_size / size)), which rounds to the neighbouring pixel in some rows and columns.
    """
    exact = ModelProto()
    exact.CopyFrom(model)
    shapes = static_shapes(model)
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        size, new_size = shapes.get(node.input[0], ())[2:], shapes.get(node.output[0], ())[2:]
        whole = all(new % old == 0 for old, new in zip(size, new_size, strict=True)) if size else True
        if node.op_type != "Resize" or read_attributes(node)["mode"] != "nearest" or whole:
            nodes.append(node)
            continue
        rows, picked, columns = (f"{node.output[0]}/{part}" for part in ("rows", "picked", "columns"))
        for name, old, new in ((rows, size[0], new_size[0]), (columns, size[1], new_size[1])):
            exact.graph.initializer.append(numpy_helper.from_array(nearest_indices(old, new), name))
        nodes.append(helper.make_node("Gather", [node.input[0], rows], [picked], axis=2))
        nodes.append(helper.make_node("Gather", [picked, columns], [node.output[0]], axis=3))
    del exact.graph.node[:]
    exact.graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    for tensor in [tensor for tensor in exact.graph.initializer if tensor.name not in read]:
        exact.graph.initializer.remove(tensor)
    return exact


def nearest_indices(size: int, new_size: int) -> NDArray[np.int64]:
    """The source index of each of ``new_size`` pixels, in float32 as torch and TFLite compute it."""
    scale = np.float32(size) / np.float32(new_size)
    indices: NDArray[np.int64] = np.floor(np.arange(new_size, dtype=np.float32) * scale).astype(np.int64)
    return np.minimum(indices, size - 1)


def read_graph(model: ModelProto) -> OnnxGraph:
    """The folded model as plain data. Raises UnsupportedOperatorError for a node with several outputs."""
    for node in model.graph.node:
        if len(node.output) != 1:
            raise UnsupportedOperatorError(
                f"ONNX operator {node.op_type} (node {node.name!r}) has {len(node.output)} outputs; supported: 1"
            )
    return OnnxGraph(
        nodes=tuple(
            Node(node.op_type, node.name, tuple(node.input), node.output[0], read_attributes(node))
            for node in model.graph.node
        ),
        constants={tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer},
        shapes=static_shapes(model),
        input=model.graph.input[0].name,
        output=model.graph.output[0].name,
    )


def static_shapes(model: ModelProto) -> dict[str, Shape]:
    """Shapes of every tensor that is not a constant."""
    values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    return {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}


def read_attributes(node: NodeProto) -> dict[str, Attribute]:
    """A node's attributes as Python values: text as str, lists as tuples. Tensors and graphs are left out."""
    attributes: dict[str, Attribute] = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            attributes[attribute.name] = value.decode()
        elif isinstance(value, int | float):
            attributes[attribute.name] = value
        elif attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS):
            attributes[attribute.name] = tuple(value)
    return attributes
