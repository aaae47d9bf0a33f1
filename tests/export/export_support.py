"""Helpers of the export's tests: random statistics, single modules through the exporter, plain runs."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tflite_runtime.interpreter import Interpreter
from torch import Tensor, nn

from sweep.export.fusion import optimise
from sweep.export.graph import TFLiteGraph
from sweep.export.lowering import lower
from sweep.export.onnx_export import module_to_onnx, network_to_onnx, read_graph
from sweep.models import DepthNetwork, build_network
from sweep.space.candidate import Architecture


def trained_looking(architecture: Architecture, seed: int = 0) -> DepthNetwork:
    """A network with random batch-norm statistics, biases and a head that gives depths from 1 m to 15 m.

    Freshly initialised statistics would hide a wrong fold: their mean is 0 and their variance is 1.
    """
    torch.manual_seed(seed)
    network = build_network(architecture).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.weight.mul_(torch.empty_like(module.weight).uniform_(0.7, 1.3))
                module.bias.normal_(std=0.2)
                module.running_mean.normal_(std=0.2)
                module.running_var.uniform_(0.5, 2)
        spread_head(network)
    return network


def spread_head(network: DepthNetwork) -> None:
    """Scale the head so that the log depth of a noise image has standard deviation 0.7 around ln 4 m."""
    log_depth = network(torch.rand(1, 3, *network.inner_size) * 255)
    assert network.head.bias is not None
    scale = 0.7 / max(float(log_depth.std()), 1e-3)
    network.head.weight.mul_(scale)
    network.head.bias.fill_(0)
    log_depth = network(torch.rand(1, 3, *network.inner_size) * 255)
    network.head.bias.fill_(float(np.log(4.0) - log_depth.mean()))


def lower_module(module: nn.Module, example: Tensor) -> TFLiteGraph:
    """A module's TFLite graph, before it is written."""
    return lower(optimise(read_graph(module_to_onnx(module, example))))


def lower_network(network: DepthNetwork) -> TFLiteGraph:
    """The network's TFLite graph, before it is written."""
    return lower(optimise(read_graph(network_to_onnx(network))))


def with_constant(graph: TFLiteGraph, name: str, data: NDArray[np.float32]) -> TFLiteGraph:
    """The graph with one constant's data exchanged."""
    assert any(tensor.name == name for tensor in graph.tensors)
    tensors = (dataclasses.replace(t, data=data) if t.name == name else t for t in graph.tensors)
    return dataclasses.replace(graph, tensors=tuple(tensors))


def run_tflite(path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Output of the file under tflite-runtime for one NHWC input."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def nhwc(tensor: Tensor) -> NDArray[np.float32]:
    """NCHW tensor to NHWC array."""
    return np.ascontiguousarray(tensor.detach().numpy().transpose(0, 2, 3, 1))
