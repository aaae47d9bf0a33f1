"""Where the simulation rounds, and that it is the network otherwise."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_training import TINY_ARCHITECTURE, TINY_STAGE, make_candidate

from sweep.export.fusion import optimise
from sweep.export.graph import TFLiteGraph
from sweep.export.lowering import lower
from sweep.export.onnx_export import network_to_onnx, read_graph
from sweep.models import DepthNetwork, build_network
from sweep.space import RandomSuggest, load_space
from sweep.space.candidate import Architecture
from sweep.training import fake_quantization
from sweep.training.int8_simulation import Int8Simulation

# Operators of the exported file whose output is a tensor of its own range.
ROUNDED = {
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "ADD",
    "MUL",
    "MEAN",
    "CONCATENATION",
    "HARD_SWISH",
    "RESIZE_BILINEAR",
}

# From a function in the network's forward pass to the operator of the file.
BUILTINS = {
    "add": "ADD",
    "cat": "CONCATENATION",
    "interpolate": "RESIZE_BILINEAR",
    "mean": "MEAN",
    "mul": "MUL",
}
SPACE = load_space("mobilenetv3")


def built(architecture: Architecture, seed: int = 0) -> DepthNetwork:
    torch.manual_seed(seed)
    return build_network(architecture)


def tiny(**architecture: Any) -> DepthNetwork:
    return built(make_candidate(architecture=architecture).architecture)


def images(network: DepthNetwork, count: int = 4) -> torch.Tensor:
    """Whole numbers from 0 to 255, as frames have them."""
    return torch.randint(0, 256, (count, 3, *network.inner_size)).float()


def settled(network: DepthNetwork, batches: int = 3) -> Int8Simulation:
    """A simulation in evaluation mode whose ranges and batch statistics come from a few batches."""
    simulation = Int8Simulation(network).train()
    with torch.no_grad():
        for _ in range(batches):
            simulation(images(network))
    network.eval()
    return simulation.eval()


def rounded_in_the_file(network: DepthNetwork) -> list[str]:
    """What the exported file's operators before the head round."""
    graph: TFLiteGraph = lower(optimise(read_graph(network_to_onnx(network.eval()))))
    convolutions = [i for i, operator in enumerate(graph.operators) if "CONV" in operator.builtin]
    first, head = convolutions[0], convolutions[-1]

    def by_a_number(names: tuple[str, ...]) -> bool:
        return any(
            graph.tensor(name).data is not None and graph.tensor(name).data.size == 1 for name in names
        )

    return [
        operator.builtin
        for operator in graph.operators[first:head]
        if operator.builtin in ROUNDED and not (operator.builtin == "MUL" and by_a_number(operator.inputs))
    ]


def rounded_in_training(network: DepthNetwork) -> list[str]:
    """The simulation's rounded tensors, by the operators that make them."""
    named = []
    for name in Int8Simulation(network).ranges:
        start = name.split("_")[0]
        if start in BUILTINS:
            named.append(BUILTINS[start])
        elif start in ("relu", "relu6"):  # of squeeze-and-excite's 1x1 convolutions
            named.append("CONV_2D")
        else:
            module = network.get_submodule(path_of(name, network))
            block = network.get_submodule(path_of(name, network).rpartition(".")[0])
            is_swish = type(module).__name__ == "Hardswish"
            depthwise = block.conv.groups > 1
            named.append("HARD_SWISH" if is_swish else "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D")
    return named


def path_of(name: str, network: DepthNetwork) -> str:
    return next(path for path, _ in network.named_modules() if path.replace(".", "_") == name)


def test_the_tensors_of_a_small_network_that_are_rounded() -> None:
    architecture = {
        "encoder": {
            **TINY_ARCHITECTURE["encoder"],
            "stage1": {**TINY_STAGE, "depth": 2},
            "stage2": {**TINY_STAGE, "expansion": 1, "squeeze_excite": True},
        },
        "decoder": {"kind": "add", "width": 8, "upsampling": "bilinear"},
        "output": {"stride": 4, "upsampling": "nearest"},
    }
    assert list(Int8Simulation(tiny(**architecture)).ranges) == [
        "encoder_stem_norm",
        "encoder_stem_activation",  # a hard swish: an operator of its own
        "encoder_stages_0_0_expand_activation",
        "encoder_stages_0_0_depthwise_activation",
        "encoder_stages_0_0_project_norm",
        "encoder_stages_0_1_expand_activation",
        "encoder_stages_0_1_depthwise_activation",
        "encoder_stages_0_1_project_norm",
        "add",
        "encoder_stages_1_0_depthwise_activation",
        "mean",
        "relu",
        "relu6",
        "mul_2",  # 0 is the input's scale and 1 the gate's sixth: numbers, which round nothing
        "encoder_stages_1_0_project_norm",
        "decoder_top_activation",
        "interpolate",
        "decoder_laterals_0_norm",
        "add_1",
        "decoder_blocks_0_depthwise_activation",
        "decoder_blocks_0_pointwise_activation",
    ]


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rounded_are_the_tensors_that_the_exported_file_holds(seed: int) -> None:
    _, candidate = SPACE.draw(RandomSuggest(seed))
    network = built(candidate.architecture)
    assert sorted(rounded_in_training(network)) == sorted(rounded_in_the_file(network))


@pytest.mark.parametrize("decoder", ["add", "concat", "separable"])
def test_with_very_fine_steps_it_computes_what_the_network_computes(
    monkeypatch: pytest.MonkeyPatch, decoder: str
) -> None:
    monkeypatch.setattr(fake_quantization, "LOWEST_CODE", -(2**21))
    monkeypatch.setattr(fake_quantization, "HIGHEST_CODE", 2**21 - 1)
    own = {"add": {}, "concat": {"taper": 0.5}, "separable": {"kernel": 3}}[decoder]
    network = tiny(decoder={"kind": decoder, "width": 16, "upsampling": "bilinear", **own})
    torch.nn.init.normal_(network.head.weight)
    simulation = settled(network)
    # The batch behind the range: nothing is cut off.
    frames = images(network)
    simulation.train()(frames)
    for module in simulation.ranges.values():
        module.low.mul_(2), module.high.mul_(2)
    simulation.eval(), network.eval()
    with torch.no_grad():
        torch.testing.assert_close(simulation(frames), network(frames), rtol=1e-4, atol=1e-4)


def test_with_eight_bits_it_computes_nearly_that() -> None:
    network = tiny()
    torch.nn.init.normal_(network.head.weight)
    simulation, frames = settled(network, batches=10), images(network)
    with torch.no_grad():
        error, spread = simulation(frames) - network(frames), network(frames).std()
    assert 0.001 * spread < error.std() < 0.2 * spread


def test_the_inner_image_is_rounded_to_whole_numbers() -> None:
    network = tiny()
    simulation, frames = settled(network), images(network)
    with torch.no_grad():
        assert torch.equal(simulation(frames + 0.4), simulation(frames))


def test_the_network_and_its_parameters_stay_what_they_were() -> None:
    network = tiny()
    before = dict(network.named_modules()), dict(network.named_parameters())
    frames = images(network)
    network.eval()
    with torch.no_grad():
        expected = network(frames)
    simulation = Int8Simulation(network)
    assert (dict(network.named_modules()), dict(network.named_parameters())) == before
    assert set(simulation.parameters()) == set(network.parameters())
    with torch.no_grad():
        assert torch.equal(network(frames), expected)


def test_every_parameter_gets_a_gradient() -> None:
    network = tiny()
    Int8Simulation(network).train()(images(network)).square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    untouched = [name for name, parameter in network.named_parameters() if not parameter.grad.any()]
    assert untouched == []
