"""The encoder modules: shapes, starts, and parts of one's own."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
from pydantic import Field, TypeAdapter
from torch import Tensor, nn

from sweep.models.encoder import MobileNetV3Encoder, StagedEncoder, build_encoder
from sweep.models.ghost import GhostBottleneck, GhostModule
from sweep.models.layers import InvertedResidual, SqueezeExcite, SwishSqueezeExcite
from sweep.space.encoders import STAGE_STRIDES, Encoder, by_kind

ADAPTER: TypeAdapter[Encoder] = TypeAdapter(Annotated[Encoder, Field(discriminator=by_kind)])


def built(kind: str, **keys: Any) -> Any:
    return build_encoder(ADAPTER.validate_python({"kind": kind, **keys}))


def published(kind: str, *, width: float = 0.5, **keys: Any) -> StagedEncoder:
    encoder = built(kind, width=width, **{"stages": len(STAGE_STRIDES[kind])} | keys)
    assert isinstance(encoder, StagedEncoder)
    return encoder


@pytest.mark.parametrize("kind", STAGE_STRIDES)
def test_features_come_at_strides_two_four_eight_whatever_is_cut_off(kind: str) -> None:
    image = torch.rand(1, 3, 64, 96)
    for stages in range(2, len(STAGE_STRIDES[kind]) + 1):
        encoder = published(kind, stages=stages).eval()
        with torch.no_grad():
            features = encoder(image)
        strides = [2 << level for level in range(len(features))]
        assert strides[-1] == STAGE_STRIDES[kind][stages - 1]
        assert [tuple(f.shape[1:]) for f in features] == [
            (channels, 64 // stride, 96 // stride)
            for channels, stride in zip(encoder.channels, strides, strict=True)
        ]


def test_the_last_stage_of_a_stride_gives_its_features() -> None:
    encoder = published("mobilenetv2", width=1).eval()
    assert encoder.channels == (16, 24, 32, 96, 320)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        *_, at_16, at_32 = encoder(image)
        torch.testing.assert_close(encoder.stages[6](encoder.stages[5](at_16)), at_32)


def test_without_a_stage_at_stride_two_the_stem_gives_its_features() -> None:
    encoder = published("mobilenetv3_small", width=1).eval()
    assert encoder.channels == (16, 16, 24, 48, 96)
    image = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        at_2, at_4, *_ = encoder(image)
        torch.testing.assert_close(encoder.stem(image / 64), at_2)
        torch.testing.assert_close(encoder.stages[0](at_2), at_4)


@pytest.mark.parametrize(
    ("kind", "gate"),
    [
        ("mobilenetv3_large", SqueezeExcite),
        ("efficientnet_b0", SwishSqueezeExcite),
        ("ghostnet", SqueezeExcite),
        ("mobilenetv2", None),
        ("mobilenetv3_minimal", None),
        ("efficientnet_lite0", None),
    ],
)
def test_each_family_gates_as_published(kind: str, gate: type[nn.Module] | None) -> None:
    gates = {type(m) for m in published(kind).modules() if isinstance(m, SqueezeExcite | SwishSqueezeExcite)}
    assert gates == ({gate} if gate else set())


def test_efficientnets_gate_is_a_sigmoid_of_the_swished_mean() -> None:
    gate = SwishSqueezeExcite(6, 2).double()
    features = torch.randn(2, 6, 4, 5, dtype=torch.float64)
    reduce, expand = (m.weight.detach()[:, :, 0, 0] for m in (gate.reduce, gate.expand))
    nn.init.normal_(gate.expand.bias)
    inside = features.mean((2, 3)) @ reduce.T
    inside = inside / (1 + (-inside).exp())
    expected = features / (1 + (-(inside @ expand.T + gate.expand.bias)).exp())[:, :, None, None]
    torch.testing.assert_close(gate(features), expected)


def test_a_ghost_modules_second_half_is_made_of_its_first() -> None:
    module = GhostModule(8, 12, activation="relu").eval()
    features = torch.randn(2, 8, 6, 6)
    with torch.no_grad():
        first, second = module(features).split(6, dim=1)
        torch.testing.assert_close(module.primary(features), first)
        torch.testing.assert_close(module.cheap(first), second)


def ghost_bottleneck(in_channels: int, out_channels: int, stride: int, gain: float = 0.5) -> GhostBottleneck:
    return GhostBottleneck(
        in_channels,
        out_channels,
        hidden=24,
        kernel=5,
        stride=stride,
        squeezed=8,
        activation="relu",
        residual_gain=gain,
    )


def test_a_ghost_bottleneck_that_keeps_the_shape_starts_as_its_input_plus_a_scaled_branch() -> None:
    features = torch.randn(2, 16, 8, 8)
    torch.testing.assert_close(ghost_bottleneck(16, 16, 1, gain=0.0)(features), features)


@pytest.mark.parametrize(("out_channels", "stride"), [(16, 2), (24, 1)])
def test_a_ghost_bottleneck_that_changes_the_shape_convolves_its_shortcut(
    out_channels: int, stride: int
) -> None:
    block = ghost_bottleneck(16, out_channels, stride, gain=0.0).eval()
    features = torch.randn(2, 16, 8, 8)
    with torch.no_grad():
        branch = block.project(block.squeeze_excite(block.depthwise(block.expand(features))))
        torch.testing.assert_close(block(features), block.shortcut(features) + branch)
    assert branch.abs().max() > 0.1  # the gain is for branches that are added to the input itself
    assert tuple(block.shortcut[0].conv.weight.shape) == (16, 1, 5, 5)


def test_residual_branches_start_scaled_by_their_stages_depth() -> None:
    encoder = published("mobilenetv2", width=1)
    gains = [
        [block.project.norm.weight.detach().unique().tolist() for block in stage] for stage in encoder.stages
    ]
    assert gains[3] == [[1.0], [0.5], [0.5], [0.5]]  # the first of four changes the shape


def test_the_free_layouts_tensors_are_named_as_ever() -> None:
    stage = {"depth": 1, "kernel": 3, "expansion": 2, "squeeze_excite": True, "activation": "relu"}
    encoder = built(
        "mobilenetv3",
        width=1.0,
        stem_activation="relu",
        stage1=stage,
        stage2={**stage, "squeeze_excite": False, "expansion": 1},
        stop={"kind": "stride_8"},
    )
    assert isinstance(encoder, MobileNetV3Encoder)
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

    def layer(name: str) -> list[str]:
        return [f"{name}.conv.weight", *(f"{name}.norm.{part}" for part in norm)]

    gate = [
        f"stages.0.0.squeeze_excite.{m}.{part}" for m in ("reduce", "expand") for part in ("weight", "bias")
    ]
    assert list(encoder.state_dict()) == [
        *layer("stem"),
        *layer("stages.0.0.expand"),
        *layer("stages.0.0.depthwise"),
        *gate,
        *layer("stages.0.0.project"),
        *layer("stages.1.0.depthwise"),
        *layer("stages.1.0.project"),
    ]


OWN = '''
"""An encoder and a block that no other module of this package knows."""

from typing import Literal

import torch.nn.functional as F
from torch import nn

from sweep.space.encoders import OwnBlock, OwnEncoder


class Pools(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.channels = (channels, channels)
        self.first = nn.Conv2d(3, channels, 1)

    def forward(self, inner):
        half = F.avg_pool2d(self.first(inner), 2)
        return half, F.avg_pool2d(half, 2)


class Pooling(OwnEncoder):
    kind: Literal["own_encoders_for_tests:Pooling"]
    channels: int

    @property
    def stride(self):
        return 4

    def build(self):
        return Pools(self.channels)


class Plain(OwnBlock):
    kind: Literal["own_encoders_for_tests:Plain"]
    gain: float = 1.0

    def build(self, in_channels, out_channels, *, hidden, kernel, stride, squeeze_excite, activation):
        conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2)
        conv.told = (hidden, squeeze_excite, activation, self.gain)
        return conv
'''


@pytest.fixture
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_encoders_for_tests.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("own_encoders_for_tests", None)


def features_of(encoder: Any) -> list[tuple[int, ...]]:
    with torch.no_grad():
        features: tuple[Tensor, ...] = encoder.eval()(torch.rand(1, 3, 32, 48))
    return [tuple(f.shape) for f in features]


@pytest.mark.usefixtures("own_package")
def test_an_encoder_of_ones_own_is_built_from_its_own_keys() -> None:
    encoder = built("own_encoders_for_tests:Pooling", channels=5)
    assert encoder.channels == (5, 5)
    assert features_of(encoder) == [(1, 5, 16, 24), (1, 5, 8, 12)]


@pytest.mark.usefixtures("own_package")
def test_a_block_of_ones_own_takes_the_place_of_every_block_of_its_stage() -> None:
    block = {"kind": "own_encoders_for_tests:Plain", "gain": 2.0}
    encoder = published("mobilenetv3_large", width=1, stages=3, stage3={"block": block, "depth": 2})
    own = [m for m in encoder.modules() if hasattr(m, "told")]
    assert [(m.in_channels, m.out_channels, m.kernel_size, m.stride, m.told) for m in own] == [
        (24, 40, (5, 5), (2, 2), (72, True, "relu", 2.0)),
        (40, 40, (5, 5), (1, 1), (120, True, "relu", 2.0)),
    ]
    assert list(encoder.stages[2]) == own
    assert features_of(encoder) == [(1, 16, 16, 24), (1, 24, 8, 12), (1, 40, 4, 6)]


@pytest.mark.usefixtures("own_package")
def test_a_block_of_ones_own_fits_into_the_free_layout_too() -> None:
    stage = {"depth": 1, "kernel": 3, "expansion": 2, "squeeze_excite": False, "activation": "relu6"}
    encoder = built(
        "mobilenetv3",
        width=1.0,
        stem_activation="relu",
        stage1=stage | {"block": {"kind": "own_encoders_for_tests:Plain"}},
        stage2=stage,
        stop={"kind": "stride_8"},
    )
    assert encoder.stages[0][0].told == (32, False, "relu6", 1.0)
    assert [type(block) for block in encoder.stages[1]] == [InvertedResidual]
    assert features_of(encoder) == [(1, 16, 16, 24), (1, 24, 8, 12), (1, 40, 4, 6)]
