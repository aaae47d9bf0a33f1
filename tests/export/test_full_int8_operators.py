"""Every operator's int8 form against float64: the same function of the same codes, to within a step."""

from dataclasses import replace

import float_layers
import numpy as np
import torch
from float_layers import Layer
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sweep.export.graph import Quantization, TFLiteGraph
from sweep.export.quantization.calibration import calibrate, inner_tensors
from sweep.export.quantization.full_int8 import quantize_all
from sweep.export.quantization.ranges import dequantize, quantize


def features(layer: Layer, seed: int, magnitude: float, offset: float) -> NDArray[np.float32]:
    """Inputs (2, H, W, C) for the layer."""
    channels, height, width = layer.shape[1:]
    random = np.random.default_rng(seed)
    values = (random.normal(size=(2, height, width, channels)) + offset) * magnitude
    return values.astype(np.float32)


def evaluated(
    layer: Layer, converted: TFLiteGraph, inputs: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    """Each tensor, NHWC, in float64 from the operands as the file holds them.

    Constants are the file's own integers; computed operands are the file's own, so that each node is on its own.
    """
    names = [operator.output for operator in converted.operators]
    (found,) = inner_tensors(converted, inputs[np.newaxis], names)
    values = {name: valued(converted, name, data) for name, data in found.items()}
    first = converted.by_name.get("x/int8")
    x = inputs[np.newaxis].astype(np.float64)
    if first is not None and first.quantization is not None:
        x = dequantize(quantize(x, first.quantization), first.quantization)
    known = {"x": nchw(x)} | {node.output: nchw(values[node.output]) for node in layer.nodes}
    results = {}
    for node, formula in zip(layer.nodes, layer.formulas, strict=True):
        operands = [constant_or(layer, converted, node.output, name, known) for name in node.inputs]
        results[node.output] = formula(*operands).numpy().transpose(0, 2, 3, 1)
    return results | {f"{name} in the file": value for name, value in values.items()}


def constant_or(
    layer: Layer, converted: TFLiteGraph, output: str, name: str, known: dict[str, torch.Tensor]
) -> torch.Tensor:
    """An operand: a computed tensor, or the file's form of a constant, brought back to torch's layout."""
    held = {"w": f"{output}/weights", "b": f"{output}/bias"}.get(name, f"{output}/{name}")
    if name in known or held not in converted.by_name:  # the latter: sizes, and bounds that were fused
        return layer.operand(name, known)
    tensor = converted.tensor(held)
    assert tensor.data is not None
    data = valued(converted, held, tensor.data)
    if data.ndim < 4:
        return torch.from_numpy(data)
    depthwise = any(op.builtin == "DEPTHWISE_CONV_2D" and held in op.inputs for op in converted.operators)
    return torch.from_numpy(data.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2)))


def valued(graph: TFLiteGraph, name: str, data: NDArray[np.float32]) -> NDArray[np.float64]:
    quantization = graph.tensor(name).quantization
    return data.astype(np.float64) if quantization is None else dequantize(data, quantization)


def nchw(values: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))


def expressible(values: NDArray[np.float64], quantization: Quantization) -> NDArray[np.float64]:
    """Values cut off at the ends of what the codes can say."""
    (scale,), (zero_point,) = quantization.scales, quantization.zero_points
    return values.clip(scale * (-128 - zero_point), scale * (127 - zero_point))


def check(layer: Layer, seed: int, magnitude: float, offset: float) -> None:
    graph = layer.graph()
    inputs = features(layer, seed, magnitude, offset)
    converted = quantize_all(graph, calibrate(graph, inputs))
    results = evaluated(layer, converted, inputs[0])
    for node in layer.nodes:
        found, exact = results[f"{node.output} in the file"], results[node.output]
        quantization = converted.tensor(node.output).quantization
        if quantization is None:
            np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)
        else:
            off = np.abs(found - expressible(exact, quantization)).max() / quantization.scales[0]
            assert off <= layer.steps, f"{node.op} is off by {off} steps"


inputs = {
    "seed": st.integers(0, 2**32),
    "magnitude": st.floats(-3, 3).map(lambda exponent: 10**exponent),
    "offset": st.floats(-3, 3),
}


@settings(deadline=None)
@given(layer=float_layers.convolutions(), **inputs)
def test_convolutions_are_exact_to_a_step(layer: Layer, seed: int, magnitude: float, offset: float) -> None:
    check(layer, seed, magnitude, offset)


@settings(deadline=None)
@given(layer=float_layers.convolutions(), **inputs | {"magnitude": st.floats(-9, 0).map(lambda e: 10**e)})
def test_convolutions_with_biases_far_beyond_their_inputs_are_exact_to_a_step(
    layer: Layer, seed: int, magnitude: float, offset: float
) -> None:
    below = {name: -np.abs(data) if name == "b" else data for name, data in layer.constants.items()}
    check(replace(layer, constants=below), seed, magnitude, offset)


@settings(deadline=None)
@given(layer=float_layers.arithmetic(), **inputs)
def test_sums_and_products_are_exact_to_a_step(
    layer: Layer, seed: int, magnitude: float, offset: float
) -> None:
    check(layer, seed, magnitude, offset)


@settings(deadline=None)
@given(layer=float_layers.functions(), seed=st.integers(0, 2**32), offset=st.floats(-2, 2))
def test_functions_of_one_tensor_are_exact_to_a_step_or_stay_float(
    layer: Layer, seed: int, offset: float
) -> None:
    check(layer, seed, 2.0, offset)


@settings(deadline=None)
@given(layer=float_layers.rearrangements(), **inputs)
def test_codes_that_are_passed_on_are_exact_to_a_step(
    layer: Layer, seed: int, magnitude: float, offset: float
) -> None:
    check(layer, seed, magnitude, offset)
