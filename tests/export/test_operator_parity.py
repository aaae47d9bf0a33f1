"""Every operator that the exporter can write, in every form, against torch and TensorFlow's reference kernels."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from export_support import lower_module, nhwc, run_tflite
from numpy.typing import NDArray
from torch import Tensor, nn

from sweep.export.compatibility import check_target
from sweep.export.inspect import inspect_model
from sweep.export.lowering import RULES
from sweep.export.reference import run_under_tensorflow
from sweep.export.writer import write_tflite
from sweep.models.context import AsppBlock
from sweep.models.layers import ConvNorm, InvertedResidual, SeparableConv
from sweep.space.candidate import Aspp


class Function(nn.Module):
    """A plain function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@dataclass(frozen=True)
class Case:
    """A module, the NCHW shape of its input, and the operators that its file must hold, in any order."""

    module: nn.Module
    shape: tuple[int, int, int, int]
    operators: tuple[str, ...]


def convolutions() -> dict[str, Case]:
    """Dense and depthwise, odd and even sizes, every kernel, both strides, three kinds of padding."""
    cases = {}
    for kernel, stride, size, depthwise in product((1, 3, 5, 7), (1, 2), ((10, 12), (9, 11)), (False, True)):
        for padding in ("valid", "torch", "same"):
            if padding != "valid" and kernel == 1:
                continue
            if min(size) < kernel:
                continue
            builtin = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
            channels = (4, 8, 4) if depthwise else (4, 6, 1)  # depth multiplier 2 where depthwise
            inputs, outputs, groups = channels
            symmetric = kernel // 2 if padding == "torch" else 0
            conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=symmetric, groups=groups)
            module: nn.Module = conv
            if padding == "same":
                amounts = [amount for edge in reversed(size) for amount in same(edge, kernel, stride)]
                module = nn.Sequential(nn.ZeroPad2d((amounts[0], amounts[1], amounts[2], amounts[3])), conv)
            padded_before = padding == "torch" and not is_same(size, kernel, stride)
            name = f"{builtin.lower()}-k{kernel}-s{stride}-{size[0]}x{size[1]}-{padding}"
            cases[name] = Case(module, (1, inputs, *size), ("PAD", builtin) if padded_before else (builtin,))
    return cases


def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding, from its documentation."""
    total = max(kernel - stride, 0) if size % stride == 0 else max(kernel - size % stride, 0)
    return total // 2, total - total // 2


def is_same(size: tuple[int, int], kernel: int, stride: int) -> bool:
    """Whether symmetric padding of half the kernel is what SAME does."""
    return all(same(edge, kernel, stride) == (kernel // 2, kernel // 2) for edge in size)


def resizes() -> dict[str, Case]:
    """Up and down, by whole and other factors, one channel (two steps) and several."""
    cases = {}
    sizes = [
        ((6, 8), (12, 16)),
        ((6, 8), (15, 20)),
        ((7, 9), (20, 30)),
        ((12, 16), (6, 8)),
        ((9, 10), (4, 7)),
        ((4, 5), (64, 80)),
        ((16, 20), (12, 16)),
        ((12, 16), (120, 160)),
    ]
    for mode, channels, (size, new_size) in product(("bilinear", "nearest"), (1, 3), sizes):
        builtin = "RESIZE_BILINEAR" if mode == "bilinear" else "RESIZE_NEAREST_NEIGHBOR"
        two_steps = channels == 1 and new_size[0] > size[0]
        operators = (builtin, "RESHAPE") * 2 if two_steps else (builtin,)
        module = Function(lambda x, size=new_size, mode=mode: F.interpolate(x, size=size, mode=mode))
        name = f"{mode}-{channels}ch-{size[0]}x{size[1]}-to-{new_size[0]}x{new_size[1]}"
        cases[name] = Case(module, (1, channels, *size), operators)
    for mode in ("bilinear", "nearest"):
        builtin = "RESIZE_BILINEAR" if mode == "bilinear" else "RESIZE_NEAREST_NEIGHBOR"
        module = Function(lambda x, mode=mode: F.interpolate(x, scale_factor=2.0, mode=mode))
        cases[f"{mode}-twice"] = Case(module, (1, 5, 6, 7), (builtin,))
    tall = Function(lambda x: F.interpolate(x, size=(12, 8), mode="bilinear"))
    cases["bilinear-1ch-height-only"] = Case(tall, (1, 1, 6, 8), ("RESHAPE", "RESIZE_BILINEAR", "RESHAPE"))
    return cases


def arithmetic() -> dict[str, Case]:
    """Two-operand and one-operand functions, constants of every rank, fused activations."""
    channel = torch.tensor([0.5, -1.5, 2.0]).reshape(1, 3, 1, 1)
    shape = (1, 3, 6, 7)
    functions: dict[str, tuple[Callable[[Tensor], Tensor], tuple[str, ...]]] = {
        "add-channels": (lambda x: x + channel, ("ADD",)),
        "add-vector-of-rank-three": (lambda x: x + channel[0], ("ADD",)),
        "add-number": (lambda x: x + 1.25, ("ADD",)),
        "add-itself-relu": (lambda x: F.relu(x + x), ("ADD",)),
        "sub-channels-relu6": (lambda x: F.relu6(x * 5 - channel), ("MUL", "SUB")),
        "number-sub": (lambda x: 2.5 - x, ("SUB",)),
        "mul-channels-relu": (lambda x: F.relu(x * channel), ("MUL",)),
        "div-channels": (lambda x: x / channel, ("DIV",)),
        "gate": (lambda x: x * x.mean((2, 3), keepdim=True), ("MEAN", "MUL")),
        "global-average-pool": (nn.AdaptiveAvgPool2d(1), ("MEAN",)),
        "average-pool": (lambda x: F.avg_pool2d(x, 2), ("AVERAGE_POOL_2D",)),
        "average-pool-overlapping": (lambda x: F.avg_pool2d(x, (3, 2), (2, 1)), ("AVERAGE_POOL_2D",)),
        "maximum": (lambda x: torch.maximum(x, channel), ("MAXIMUM",)),
        "minimum": (lambda x: torch.minimum(x, channel), ("MINIMUM",)),
        "clamp": (lambda x: x.clamp(-0.3, 0.4), ("MAXIMUM", "MINIMUM")),
        "add-means-relu": (lambda x: F.relu(x + x.mean((2, 3), keepdim=True)), ("MEAN", "ADD")),
        "relu": (F.relu, ("RELU",)),
        "relu6": (lambda x: F.relu6(x * 8), ("MUL",)),
        "relu6-alone": (F.relu6, ("RELU6",)),
        "relu-read-twice": (lambda x: F.relu(x + 0.1) * (x + 0.1), ("ADD", "RELU", "MUL")),
        "clamp-at-zero": (lambda x: x.clamp(min=0.0), ("RELU",)),
        "hard-swish": (lambda x: F.hardswish(x * 4), ("MUL", "HARD_SWISH")),
        "hard-sigmoid": (lambda x: F.hardsigmoid(x * 4), ("MUL", "ADD", "MUL")),
        "sigmoid": (torch.sigmoid, ("LOGISTIC",)),
        "sigmoid-gate": (
            lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True) * 4),
            ("MEAN", "MUL", "LOGISTIC", "MUL"),
        ),
        "swish": (lambda x: F.silu(x * 4), ("MUL", "LOGISTIC", "MUL")),
        "exp": (torch.exp, ("EXP",)),
        "concat-channels": (lambda x: torch.cat((x, F.relu(x), x), 1), ("RELU", "CONCATENATION")),
        "concat-six": (
            lambda x: torch.cat([x, *(F.relu(x + bias) for bias in range(5))], 1),
            ("RELU", *("ADD",) * 4, "CONCATENATION"),
        ),
        "concat-height": (lambda x: torch.cat((x, F.relu(x)), 2), ("RELU", "CONCATENATION")),
        "concat-width": (lambda x: torch.cat((x, F.relu(x)), -1), ("RELU", "CONCATENATION")),
        "pad": (lambda x: F.pad(x, (1, 2, 3, 4)) + 1, ("PAD", "ADD")),
    }
    return {name: Case(Function(function), shape, ops) for name, (function, ops) in functions.items()}


class Beside(nn.Module):
    """Features and what a module makes of them, one after the other: the end of a ghost module."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        features = F.relu(x)
        return torch.cat((features, F.relu(self.module(features))), 1)


GHOST = ("RELU", "DEPTHWISE_CONV_2D", "CONCATENATION")


def pyramids() -> dict[str, Case]:
    """Atrous spatial pyramids: on maps smaller than their dilation they are 1x1 convolutions, which are one."""
    cases = {}
    for dilation, size, convolutions in (
        (1, (12, 15), ("CONV_2D",) * 4 + ("CONCATENATION",)),
        (2, (4, 5), ("CONV_2D",) * 4 + ("CONCATENATION",)),  # only dilation 6 is beyond the map, and last
        (6, (4, 5), ("CONV_2D",)),
        (12, (30, 20), ("CONV_2D",) * 4 + ("CONCATENATION",)),  # 24 is beyond its width, 36 beyond its height
    ):
        block = AsppBlock(Aspp(kind="aspp", width=8, dilation=dilation), 6)
        operators = (*convolutions, "CONV_2D", "MEAN", "CONV_2D", "ADD")
        cases[f"pyramid-{dilation}-on-{size[0]}x{size[1]}"] = Case(block, (1, 6, *size), operators)
    return cases


def blocks() -> dict[str, Case]:
    """What networks are made of."""
    cases: dict[str, Case] = {
        "conv-relu6": Case(
            nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU6()), (1, 3, 8, 8), ("CONV_2D",)
        ),
        "conv-hard-swish": Case(
            nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Hardswish()),
            (1, 3, 8, 8),
            ("CONV_2D", "HARD_SWISH"),
        ),
        "conv-swish": Case(
            nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.SiLU()),
            (1, 3, 8, 8),
            ("CONV_2D", "LOGISTIC", "MUL"),
        ),
        "conv-without-bias": Case(nn.Conv2d(3, 8, 3, bias=False), (1, 3, 8, 8), ("CONV_2D",)),
        "conv-rectangular": Case(nn.Conv2d(3, 8, (1, 5), (1, 2), padding=(0, 2)), (1, 3, 7, 9), ("CONV_2D",)),
        "conv-dilated": Case(nn.Conv2d(3, 8, 3, padding=2, dilation=2), (1, 3, 9, 9), ("CONV_2D",)),
        "depthwise-dilated": Case(
            nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4), (1, 4, 9, 9), ("DEPTHWISE_CONV_2D",)
        ),
        **pyramids(),
        "own-depthwise-beside": Case(Beside(nn.Conv2d(6, 6, 3, padding=1, groups=6)), (1, 6, 6, 8), GHOST),
        "scaled-image": Case(
            nn.Sequential(Function(lambda x: x * 0.25), nn.Conv2d(3, 8, 3, padding=1)),
            (1, 3, 8, 8),
            ("CONV_2D",),
        ),
        "separable": Case(SeparableConv(8, 16, kernel=5), (1, 8, 6, 8), ("DEPTHWISE_CONV_2D", "CONV_2D")),
    }
    for kernel in (3, 5, 7):
        cases[f"conv-norm-stride-2-k{kernel}"] = Case(
            ConvNorm(3, 8, kernel=kernel, stride=2, activation="relu"), (1, 3, 8, 12), ("CONV_2D",)
        )
    for stride, gates in product((1, 2), (False, True)):
        block = InvertedResidual(
            8,
            8,
            hidden=24,
            kernel=5,
            stride=stride,
            squeeze_excite=gates,
            activation="hard_swish",
            residual_gain=0.7,
        )
        operators = ("CONV_2D", "HARD_SWISH", "DEPTHWISE_CONV_2D", "HARD_SWISH", "CONV_2D")
        gate = ("MEAN", "CONV_2D", "CONV_2D", "MUL", "MUL") if gates else ()
        residual = ("ADD",) if stride == 1 else ()
        name = f"inverted-residual-s{stride}{'-gated' if gates else ''}"
        cases[name] = Case(block, (1, 8, 8, 10), (*operators, *gate, *residual))
    return cases


def all_cases() -> dict[str, Case]:
    torch.manual_seed(0)
    return {**convolutions(), **resizes(), **arithmetic(), **blocks()}


CASES = all_cases()


@dataclass(frozen=True)
class Outcome:
    """A case's outputs, NHWC, and the file that gave them."""

    path: Path
    torch: NDArray[np.float32]
    tflite: NDArray[np.float32]
    reference: NDArray[np.float32]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """All cases exported and run; the reference kernels run in one child process for all of them."""
    folder = tmp_path_factory.mktemp("operators")
    random = np.random.default_rng(0)
    jobs, expected = [], {}
    for name, case in CASES.items():
        randomise_norms(case.module)
        example = torch.from_numpy(random.normal(size=case.shape).astype(np.float32))
        with torch.no_grad():
            expected[name] = nhwc(case.module.eval()(example))
        path = folder / f"{name}.tflite"
        path.write_bytes(write_tflite(lower_module(case.module, example), name))
        jobs.append((path, nhwc(example)))
    references = run_under_tensorflow(jobs, timeout_seconds=240)
    return {
        name: Outcome(path, expected[name], run_tflite(path, inputs), reference)
        for name, (path, inputs), reference in zip(CASES, jobs, references, strict=True)
    }


def randomise_norms(module: nn.Module) -> None:
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            nn.init.normal_(norm.bias)


@pytest.mark.parametrize("name", CASES)
def test_the_file_computes_what_torch_computes(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    np.testing.assert_allclose(outcome.tflite, outcome.torch, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_tensorflows_reference_kernels_agree(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    np.testing.assert_allclose(outcome.reference, outcome.torch, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_file_holds_exactly_the_operators_it_needs(name: str, outcomes: dict[str, Outcome]) -> None:
    found = [operator.name for operator in inspect_model(outcomes[name].path).operators]
    assert sorted(found) == sorted(CASES[name].operators)


def test_the_cases_cover_every_rule_and_every_operator_version(outcomes: dict[str, Outcome]) -> None:
    written = {
        pair for outcome in outcomes.values() for pair in inspect_model(outcome.path).operator_versions
    }
    assert check_target(written, "tflite-2.5.0") == ()
    # A new rule, or a new version of an operator, needs new cases above.
    assert (len(RULES), len(written)) == (19, 21)
