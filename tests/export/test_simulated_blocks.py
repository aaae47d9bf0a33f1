"""Training's simulation of int8 against the files: swish, gates, collapsible blocks, all encoders and decoders."""

import operator
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from architecture_strategy import diverse_architectures
from export_support import lower_network, trained_looking
from float_layers import Layer, single
from numpy.typing import NDArray
from torch import Tensor, nn

from sweep.export.graph import Node, TFLiteGraph
from sweep.export.quantization.calibration import calibrate, inner_tensors
from sweep.export.quantization.full_int8 import quantize_all, split_regions, to_int8
from sweep.export.quantization.ranges import dequantize
from sweep.models import DepthNetwork
from sweep.models.collapse import CollapsibleConv
from sweep.space.candidate import Architecture, Aspp, NoContext
from sweep.training.fake_quantization import (
    FakeQuantizedConv,
    fake_quantize_weights,
    fake_quantized_sigmoid,
    fake_quantized_swish,
)
from sweep.training.int8_simulation import Int8Simulation

Photos = NDArray[np.uint8]
ARCHITECTURES = diverse_architectures()

# What makes each tensor that is rounded: in the file, and in training. All else there are convolutions and sums,
# which look alike once an activation is fused.
OPERATORS = ("MUL", "MEAN", "CONCATENATION", "HARD_SWISH", "LOGISTIC", "RESIZE_BILINEAR")
OPERATIONS: dict[object, str] = {
    fake_quantized_swish: "MUL",
    operator.mul: "MUL",
    "mean": "MEAN",
    torch.cat: "CONCATENATION",
    nn.Hardswish: "HARD_SWISH",
    F.interpolate: "RESIZE_BILINEAR",
}
OTHERS = "convolution or sum"


def run(graph: TFLiteGraph, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """The values of the int8 graph's tensors for one NHWC input."""
    names = [operator.output for operator in graph.operators]
    (tensors,) = inner_tensors(graph, inputs, names)
    return {
        name: dequantize(data, quantization)
        for name, data in tensors.items()
        if (quantization := graph.tensor(name).quantization) is not None
    }


def test_a_logistic_function_gives_the_codes_of_tflites_kernel_for_every_code() -> None:
    layer = single("Sigmoid", torch.sigmoid, (1, 1, 16, 16))
    inputs = np.linspace(-9, 6, 256, dtype=np.float32).reshape(1, 16, 16, 1)
    graph = layer.graph()
    values = run(quantize_all(graph, calibrate(graph, inputs)), inputs)
    assert np.unique(values["x/int8"]).size == 256
    simulated = fake_quantized_sigmoid(torch.from_numpy(values["x/int8"])).numpy()
    np.testing.assert_array_equal(simulated, values["y"])


def test_a_swish_is_within_a_step_of_what_tflites_kernels_make_of_every_code() -> None:
    nodes = (Node("Sigmoid", "gate", ("x",), "gate", {}), Node("Mul", "y", ("x", "gate"), "y", {}))
    graph = Layer(nodes, (torch.sigmoid, torch.mul), (1, 1, 16, 16)).graph()
    inputs = np.linspace(-9, 6, 256, dtype=np.float32).reshape(1, 16, 16, 1)
    converted = quantize_all(graph, calibrate(graph, inputs))
    values, quantization = run(converted, inputs), converted.tensor("y").quantization
    assert quantization is not None
    simulated = fake_quantized_swish(torch.from_numpy(values["x/int8"])).numpy()
    assert np.abs(simulated - values["y"]).max() <= 0.51 * quantization.scales[0]
    # Without the rounded gate it is another function: far below zero, the gate has few codes.
    exact = F.silu(torch.from_numpy(values["x/int8"])).numpy()
    assert np.abs(exact - values["y"]).max() > 0.51 * quantization.scales[0]


def test_gradients_pass_the_rounding_of_a_swish() -> None:
    rounded, exact = (torch.linspace(-4, 4, 33, requires_grad=True) for _ in range(2))
    fake_quantized_swish(rounded).sum().backward()
    F.silu(exact).sum().backward()
    torch.testing.assert_close(rounded.grad, exact.grad, rtol=0, atol=4 / 256)


@pytest.mark.parametrize("channels", [(4, 4), (4, 6)], ids=["with-identity", "without"])
def test_of_a_collapsible_convolution_the_collapsed_kernel_is_rounded(channels: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv = CollapsibleConv(*channels, kernel=3, hidden=16)
    features = torch.rand(2, channels[0], 5, 6)
    simulated = FakeQuantizedConv(conv)(features)
    weights = fake_quantize_weights(conv.collapse().weight)
    torch.testing.assert_close(simulated, F.conv2d(features, weights, padding=1))
    simulated.square().sum().backward()
    for kernel in (conv.expand, conv.reduce):
        assert kernel.grad is not None
        assert kernel.grad.abs().min() > 0


def test_a_collapsible_networks_codes_are_those_of_its_int8_file(photos: Photos) -> None:
    network = trained_looking(ARCHITECTURES["efficientnet_lite1-collapsible"])
    graph = lower_network(network)
    converted = to_int8(graph, calibrate(graph, photos), uint8_input=False)
    held = [
        np.asarray(tensor.data).transpose(0, 3, 1, 2)
        for tensor in converted.tensors
        if "/decoder/" in tensor.name and tensor.name.endswith("/weights")
    ]
    convs = [module for module in network.modules() if isinstance(module, CollapsibleConv)]
    for conv, codes in zip(convs, held, strict=True):
        step = conv.weight.detach().abs().amax((1, 2, 3), keepdim=True) / 127
        simulated = (fake_quantize_weights(conv.weight.detach()) / step).round().numpy()
        # The file's weights have the normalisation folded in, so one in thousands rounds to the other side.
        assert np.abs(simulated - codes).max() <= 1
        assert np.mean(simulated != codes) < 0.001


def test_an_autocast_to_bfloat16_changes_nothing() -> None:
    network = trained_looking(STRUCTURES["mobilenetv3_small-separable"])
    simulation = Int8Simulation(network).eval()
    simulation.ranges.train()
    images = torch.randint(0, 256, (2, 3, *network.inner_size)).float()
    with torch.no_grad():
        simulation(images)
        simulation.eval()
        expected = simulation(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = simulation(images)
    assert torch.equal(found, expected)


def simulated_operators(simulation: Int8Simulation) -> Counter[str]:
    """What rounds in training, by the operators that do so in the file."""
    modules, counts = dict(simulation.simulated.named_modules()), Counter[str]()
    for node in simulation.simulated.graph.nodes:
        counts["LOGISTIC"] += node.target in (fake_quantized_sigmoid, fake_quantized_swish)
        if str(node.target).startswith("ranges."):
            (source,) = node.args
            called = type(modules[source.target]) if source.op == "call_module" else source.target
            counts[OPERATIONS.get(called, OTHERS)] += 1
    return counts


def file_operators(graph: TFLiteGraph) -> Counter[str]:
    """What rounds in the file between its input and its head."""

    def by_a_number(names: tuple[str, ...]) -> bool:
        return any((data := graph.tensor(name).data) is not None and data.size == 1 for name in names)

    *body, _ = split_regions(graph).body
    rounding = [
        one for one in body if one.builtin != "RESIZE_NEAREST_NEIGHBOR" and not by_a_number(one.inputs)
    ]
    return Counter(one.builtin if one.builtin in OPERATORS else OTHERS for one in rounding)


def without_context(architecture: Architecture) -> Architecture:
    return architecture.model_copy(update={"context": NoContext(kind="none")})


def with_shallow_pyramid(architecture: Architecture) -> Architecture:
    """Its deepest features have 12x16 pixels, which all taps of the pyramid meet."""
    encoder = architecture.encoder.model_copy(update={"stages": 3})
    pyramid = Aspp(kind="aspp", width=16, dilation=1)
    return architecture.model_copy(update={"encoder": encoder, "context": pyramid})


STRUCTURES = {
    **{
        name: without_context(ARCHITECTURES[name])
        for name in (
            "efficientnet_b0-add",
            "efficientnet_lite1-collapsible",
            "ghostnet-simple_fusion",
            "mobilenetv3_small-separable",
        )
    },
    "pyramid": with_shallow_pyramid(ARCHITECTURES["mobilenetv2-feature_fusion"]),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_rounded_are_the_tensors_that_the_exported_file_holds(name: str) -> None:
    network = trained_looking(STRUCTURES[name])
    assert +simulated_operators(Int8Simulation(network)) == file_operators(lower_network(network))


def simulated_log_depth(network: DepthNetwork, photos: Photos) -> NDArray[np.float64]:
    """What the simulation makes of the photos, with ranges from themselves; NHWC."""
    simulation = Int8Simulation(network).eval()
    with torch.no_grad():
        inner = network.resize_frames(torch.from_numpy(photos).permute(0, 3, 1, 2).float())
        simulation.ranges.train()
        simulation(inner)
        found: Tensor = simulation.eval()(inner)
    return found.permute(0, 2, 3, 1).double().numpy()


def file_log_depth(graph: TFLiteGraph, photos: Photos, name: str) -> NDArray[np.float64]:
    """The tensor of that name in a file that works on floats or on codes; NHWC."""
    quantization = graph.tensor(name).quantization
    found = np.concatenate([tensors[name] for tensors in inner_tensors(graph, photos, [name])])
    return found.astype(np.float64) if quantization is None else dequantize(found, quantization)


@pytest.mark.long
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_simulation_is_off_by_about_as_much_as_the_int8_file(name: str, photos: Photos) -> None:
    network = trained_looking(ARCHITECTURES[name])
    graph = lower_network(network)
    converted = to_int8(graph, calibrate(graph, photos), uint8_input=False)
    log_depth = split_regions(graph).body[-1].output
    exact = file_log_depth(graph, photos, log_depth)
    found = (simulated_log_depth(network, photos), file_log_depth(converted, photos, log_depth))
    simulated, actual = (float(np.sqrt(np.mean((values - exact) ** 2))) for values in found)
    assert 0.01 * exact.std() < actual < 0.2 * exact.std()
    assert 0.6 < simulated / actual < 1.6
