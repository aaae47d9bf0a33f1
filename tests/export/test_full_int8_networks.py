"""Whole networks as int8: accurate, deterministic, with the right ends, and at home with any weights."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from architecture_strategy import architectures as any_architecture
from export_support import lower_network, spread_head, trained_looking
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sweep.export import ExportError, UnsupportedOperatorError
from sweep.export.depth_encoding import code_depths_mm, decode
from sweep.export.graph import TFLiteGraph
from sweep.export.quantization.calibration import calibrate, inner_tensors
from sweep.export.quantization.int8_rules import FLOAT_ONLY, INT8_RULES
from sweep.export.variant_parity import layer_differences
from sweep.export.variants import CALIBRATED, Variant, convert
from sweep.export.writer import write_tflite
from sweep.models import DepthNetwork, build_network
from sweep.models.untrained import settle_batch_norm
from sweep.space.candidate import Architecture

Photos = NDArray[np.uint8]
INT8: list[Variant] = sorted(CALIBRATED)
NAMES = ["add", "concat", "separable"]


@pytest.fixture(scope="module")
def graphs(architectures: dict[str, Architecture]) -> dict[str, TFLiteGraph]:
    return {name: lower_network(trained_looking(value)) for name, value in architectures.items()}


def depth_mm(graph: TFLiteGraph, frames: Photos) -> NDArray[np.float64]:
    """The graph's depth, decoded if need be: (N, 480, 640)."""
    outputs = np.stack([tensors[graph.output] for tensors in inner_tensors(graph, frames, [graph.output])])
    depths = decode(outputs, graph.depth_encoding) if graph.depth_encoding else outputs
    return depths.reshape(len(frames), 480, 640).astype(np.float64)


def mean_difference(graph: TFLiteGraph, converted: TFLiteGraph, frames: Photos) -> float:
    expected = depth_mm(graph, frames)
    return float(np.mean(np.abs(depth_mm(converted, frames) - expected) / expected))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variant", INT8)
def test_depths_are_those_of_the_float_network_within_a_few_percent(
    name: str, variant: Variant, graphs: dict[str, TFLiteGraph], photos: Photos
) -> None:
    graph = graphs[name]
    converted = convert(graph, variant, calibrate(graph, photos))
    assert mean_difference(graph, converted, photos) < 0.06
    differences = layer_differences(graph, converted, photos[0])
    assert len(differences) > len(graph.operators) / 2
    assert max(differences.values()) < 0.3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variant", INT8)
def test_only_the_ends_of_the_network_are_not_int8(
    name: str, variant: Variant, graphs: dict[str, TFLiteGraph], photos: Photos
) -> None:
    graph = graphs[name]
    converted = convert(graph, variant, calibrate(graph, photos[:1]))
    last = max(i for i, op in enumerate(graph.operators) if op.builtin == "CONV_2D")
    resizes = {op.output for op in graph.operators[:3] if op.builtin == "RESIZE_BILINEAR"}
    frame_type = "float32" if variant == "int8" else "uint8"
    tail_type = "uint8" if variant == "uint8" else "float32"
    expected = {graph.input: frame_type}
    for index, operator in enumerate(graph.operators):
        body = tail_type if index > last else "int8"
        expected[operator.output] = frame_type if operator.output in resizes else body
    superseded = {"MAXIMUM", "MINIMUM", "EXP", "MUL"} if variant == "uint8" else set()
    for operator in graph.operators[last + 1 :]:
        if operator.builtin in superseded:
            del expected[operator.output]
    found = {name: converted.tensor(name).type for name in expected}
    assert found == expected
    changes = [op.builtin for op in converted.operators if op.builtin in ("QUANTIZE", "DEQUANTIZE")]
    assert changes == (["QUANTIZE", "QUANTIZE"] if variant == "uint8" else ["QUANTIZE", "DEQUANTIZE"])


@pytest.mark.parametrize("variant", INT8)
def test_the_same_graph_and_frames_give_the_same_bytes(
    variant: Variant, graphs: dict[str, TFLiteGraph], photos: Photos
) -> None:
    graph = graphs["concat"]
    first, second = (
        write_tflite(convert(graph, variant, calibrate(graph, photos)), "file") for _ in range(2)
    )
    assert first == second


def test_tensors_between_which_codes_are_passed_on_have_one_scale(
    graphs: dict[str, TFLiteGraph], photos: Photos
) -> None:
    for graph in graphs.values():
        converted = convert(graph, "int8", calibrate(graph, photos))
        for operator in converted.operators:
            names = (*operator.inputs, operator.output)
            int8 = [t for t in map(converted.tensor, names) if t.type == "int8"]
            if operator.builtin in INT8_RULES and INT8_RULES[operator.builtin].same_scale and int8:
                assert len({tensor.quantization for tensor in int8}) == 1, operator


def test_a_frame_of_bytes_and_one_of_floats_give_nearly_the_same_depth(
    graphs: dict[str, TFLiteGraph], photos: Photos
) -> None:
    graph = graphs["separable"]
    calibration = calibrate(graph, photos)
    floats, frame_bytes = (
        depth_mm(convert(graph, variant, calibration), photos) for variant in ("int8", "int8_uint8_input")
    )
    assert float(np.mean(np.abs(frame_bytes - floats) / floats)) < 0.02


def test_depth_codes_span_what_calibration_saw_and_little_more(
    graphs: dict[str, TFLiteGraph], photos: Photos
) -> None:
    graph = graphs["add"]
    converted = convert(graph, "uint8", calibrate(graph, photos))
    assert converted.depth_encoding is not None
    assert converted.depth_encoding.kind == "log"
    seen = depth_mm(graph, photos)
    low, high = converted.depth_encoding.min_mm, converted.depth_encoding.max_mm
    # A little beyond on either side; one metre, the zero of the logarithm, always has a code of its own.
    assert 0.5 * min(seen.min(), 1000) < low <= max(seen.min(), 100) * 1.02
    assert min(seen.max(), 100_000) * 0.99 <= high < 2.0 * max(seen.max(), 1000)
    assert np.abs(code_depths_mm(converted.depth_encoding) / 1000 - 1).min() < 1e-3
    quantization = converted.tensor(converted.output).quantization
    assert quantization is not None
    # The output tensor's own scale says the same: codes are logarithms of metres.
    (scale,), (zero_point,) = quantization.scales, quantization.zero_points
    logs = scale * (np.arange(256) - zero_point)
    np.testing.assert_allclose(code_depths_mm(converted.depth_encoding), 1000 * np.exp(logs), rtol=1e-4)


def zero_channels(network: DepthNetwork) -> None:
    """Every convolution's first channel is zero, bias and all."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight[0] = 0
            module.bias[0] = 0


def dead_layers(network: DepthNetwork) -> None:
    """Every depthwise convolution has an output of nothing but zeros once it is through its ReLU."""
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d) and "depthwise" in name:
            module.weight.fill_(0)
            module.bias.fill_(-5)


def silent(network: DepthNetwork) -> None:
    """Nothing comes out of any convolution, and the head says one metre: a logarithm of zero."""
    for parameter in network.parameters():
        parameter.zero_()


def constant_depth(network: DepthNetwork) -> None:
    """The head ignores its input."""
    network.head.weight.zero_()


def tiny(network: DepthNetwork) -> None:
    """The stem's output is far below what half precision can express, with the weights after it as ever."""
    network.encoder.stem.norm.weight.mul_(1e-25)
    network.encoder.stem.norm.bias.mul_(1e-25)


def uneven(network: DepthNetwork) -> None:
    """Channels of one tensor differ by a factor of a hundred and more."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.mul_(torch.logspace(-1, 1, module.num_features))
    spread_head(network)


@pytest.mark.parametrize("name", ["concat", "separable"])
@pytest.mark.parametrize("damage", [zero_channels, dead_layers, silent, constant_depth, tiny, uneven])
def test_odd_weights_make_files_that_run_and_keep_to_the_network(
    damage: Callable[[DepthNetwork], None],
    name: str,
    architectures: dict[str, Architecture],
    photos: Photos,
) -> None:
    network = trained_looking(architectures[name])
    with torch.no_grad():
        damage(network)
    graph = lower_network(network)
    calibration = calibrate(graph, photos)
    limit = 0.25 if damage is uneven else 0.06
    for variant in INT8:
        converted = convert(graph, variant, calibration)
        assert mean_difference(graph, converted, photos[:1]) < limit
        scales = [s for t in converted.tensors if t.quantization for s in t.quantization.scales]
        assert min(scales) >= 2.0**-126


def test_an_untrained_network_is_quantised_too(
    architectures: dict[str, Architecture], photos: Photos
) -> None:
    torch.manual_seed(0)
    network = build_network(architectures["add"])
    settle_batch_norm(network, photos)
    graph = lower_network(network)
    for variant in INT8:
        assert mean_difference(graph, convert(graph, variant, calibrate(graph, photos)), photos) < 0.02


def test_values_that_are_not_finite_are_refused_with_the_tensors_name(
    graphs: dict[str, TFLiteGraph], photos: Photos
) -> None:
    graph = graphs["separable"]
    bias = next(op.inputs[2] for op in graph.operators if op.builtin == "CONV_2D")
    broken = tuple(
        dataclasses.replace(t, data=np.full(t.shape, np.nan, np.float32)) if t.name == bias else t
        for t in graph.tensors
    )
    with pytest.raises(ExportError, match=r"tensor '/network/encoder/stem.*allowed are finite values"):
        calibrate(dataclasses.replace(graph, tensors=broken), photos[:1])


def test_an_unknown_operator_is_refused_by_name(graphs: dict[str, TFLiteGraph], photos: Photos) -> None:
    graph = graphs["add"]
    calibration = calibrate(graph, photos[:1])
    swapped = tuple(
        dataclasses.replace(op, builtin="TANH") if op.builtin == "HARD_SWISH" else op
        for op in graph.operators
    )
    with pytest.raises(UnsupportedOperatorError, match=r"TFLite operator TANH .* supported are ADD, .*EXP"):
        convert(dataclasses.replace(graph, operators=swapped), "int8", calibration)


def test_a_network_that_does_not_end_in_an_exponential_has_no_uint8_form(
    graphs: dict[str, TFLiteGraph], photos: Photos
) -> None:
    graph = graphs["add"]
    last = max(i for i, op in enumerate(graph.operators) if op.builtin == "CONV_2D")
    cut = dataclasses.replace(
        graph, operators=graph.operators[: last + 1], output=graph.operators[last].output
    )
    with pytest.raises(UnsupportedOperatorError, match="ends in a convolution has no uint8 output"):
        convert(cut, "uint8", calibrate(cut, photos[:1]))


@pytest.mark.parametrize("variant", INT8)
def test_no_calibration_is_an_error_that_names_the_variant(
    variant: Variant, graphs: dict[str, TFLiteGraph]
) -> None:
    with pytest.raises(ValueError, match=f"variant '{variant}' needs a calibration"):
        convert(graphs["add"], variant)


def test_every_float_operator_is_known() -> None:
    assert INT8_RULES.keys() | FLOAT_ONLY == {
        *("ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DIV", "EXP"),
        *("HARD_SWISH", "LOGISTIC", "MAXIMUM", "MEAN", "MINIMUM", "MUL", "PAD", "RELU", "RELU6", "RESHAPE"),
        *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SUB"),
    }


def resized_in_logarithms(
    graph: TFLiteGraph, architecture: Architecture, frames: Photos
) -> NDArray[np.float64]:
    """The float graph's depth if its last resize interpolates logarithms, as that of codes does."""
    (low,) = (operator.output for operator in graph.operators if operator.builtin == "EXP")
    depths = np.stack([tensors[low][0, ..., 0] for tensors in inner_tensors(graph, frames, [low])])
    logs = torch.from_numpy(np.log(depths.astype(np.float64) * 1000))[:, None]
    mode = architecture.output.upsampling
    return np.asarray(torch.exp(torch.nn.functional.interpolate(logs, size=(480, 640), mode=mode))[:, 0])


def check_any(architecture: Architecture, seed: int, photos: Photos) -> None:
    graph = lower_network(trained_looking(architecture, seed))
    calibration = calibrate(graph, photos)
    truth = {"uint8": resized_in_logarithms(graph, architecture, photos[:1])}
    for variant in INT8:
        expected = truth.get(variant, depth_mm(graph, photos[:1]))
        found = depth_mm(convert(graph, variant, calibration), photos[:1])
        assert np.mean(np.abs(found - expected) / expected) < 0.12


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(architecture=any_architecture("mobilenetv3"), seed=st.integers(0, 2**31))
def test_architectures_drawn_from_the_model_are_quantised(
    architecture: Architecture, seed: int, photos: Photos
) -> None:
    check_any(architecture, seed, photos)


@pytest.mark.long
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(architecture=any_architecture("mobilenetv3"), seed=st.integers(0, 2**31))
def test_many_architectures_drawn_from_the_model_are_quantised(
    architecture: Architecture, seed: int, photos: Photos
) -> None:
    check_any(architecture, seed, photos)
