"""The published tables are the papers', and what a candidate changes is changed where it says."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from sweep.space.encoders import STAGE_STRIDES, BuiltInEncoder, PublishedEncoder
from sweep.space.published import PUBLISHED, round_channels
from sweep.space.resolved import ResolvedBlock, ResolvedStage, resolve_stages, resolve_stem
from tests.models.reference_encoders import TABLES, Block

ADAPTER: TypeAdapter[PublishedEncoder] = TypeAdapter(BuiltInEncoder)

#: Trainable parameters with the head for 1000 classes, as torchvision's, EfficientNet-Lite's and GhostNet's
#: authors state them.
PUBLISHED_PARAMETERS = {
    "mobilenetv2": 3_504_872,
    "mobilenetv3_large": 5_483_032,
    "mobilenetv3_small": 2_542_856,
    "mobilenetv3_minimal": 3_924_288,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_lite0": 4_652_008,
    "efficientnet_lite1": 5_416_680,
    "efficientnet_lite2": 6_092_072,
    "ghostnet": 5_182_508,
}


def encoder(kind: str, **keys: Any) -> PublishedEncoder:
    return ADAPTER.validate_python({"kind": kind, "width": 1, "stages": len(STAGE_STRIDES[kind]), **keys})


def row(block: ResolvedBlock) -> Block:
    return Block(
        block.kernel, block.hidden, block.out_channels, block.squeezed, block.activation, block.stride
    )


def rows(stages: Sequence[ResolvedStage]) -> list[list[Block]]:
    return [[row(block) for block in stage.blocks] for stage in stages]


@pytest.mark.parametrize("kind", TABLES)
def test_changing_nothing_gives_the_published_network(kind: str) -> None:
    config, table = encoder(kind), TABLES[kind]
    stem = resolve_stem(config)
    assert (stem.channels, stem.activation) == (table.stem, table.stem_activation)
    assert rows(resolve_stages(config)) == table.stages


@pytest.mark.parametrize("kind", TABLES)
def test_every_block_takes_the_channels_that_the_one_before_it_gives(kind: str) -> None:
    blocks = [block for stage in resolve_stages(encoder(kind)) for block in stage.blocks]
    given_channels = [resolve_stem(encoder(kind)).channels, *(block.out_channels for block in blocks)]
    assert [block.in_channels for block in blocks] == given_channels[:-1]


def counted(stem: int, stages: list[list[Block]], *, ghost: bool) -> int:
    """Trainable parameters by hand: a batch normalisation has two a channel, a convolution its products."""

    def conv(inputs: int, outputs: int) -> int:
        return inputs * outputs + 2 * outputs

    def depthwise(channels: int, kernel: int) -> int:
        return channels * kernel**2 + 2 * channels

    def ghost_module(inputs: int, outputs: int) -> int:
        return conv(inputs, outputs // 2) + depthwise(outputs // 2, 3)

    total, inputs = 27 * stem + 2 * stem, stem
    for block in (block for stage in stages for block in stage):
        gate = 2 * block.hidden * block.squeezed + block.hidden + block.squeezed if block.squeezed else 0
        total += gate
        if ghost:
            total += ghost_module(inputs, block.hidden) + ghost_module(block.hidden, block.out)
            total += depthwise(block.hidden, block.kernel) if block.stride == 2 else 0
            if block.stride == 2 or inputs != block.out:
                total += depthwise(inputs, block.kernel) + conv(inputs, block.out)
        else:
            total += conv(inputs, block.hidden) if block.hidden != inputs else 0
            total += depthwise(block.hidden, block.kernel) + conv(block.hidden, block.out)
        inputs = block.out
    return total


def head(kind: str, channels: int) -> int:
    """A 1x1 convolution, after the pool for MobileNetV3 and GhostNet another, and the classes."""
    if kind in ("efficientnet_b0", "efficientnet_b1", "mobilenetv2") or "lite" in kind:
        return channels * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    if kind == "mobilenetv3_small":
        return channels * 576 + 2 * 576 + 576 * 1024 + 1024 + 1024 * 1000 + 1000
    return channels * 960 + 2 * 960 + 960 * 1280 + 1280 + 1280 * 1000 + 1000


@pytest.mark.parametrize("kind", TABLES)
def test_with_its_head_the_network_has_the_published_number_of_parameters(kind: str) -> None:
    stages = resolve_stages(encoder(kind))
    body = counted(resolve_stem(encoder(kind)).channels, rows(stages), ghost=kind == "ghostnet")
    assert body + head(kind, stages[-1].channels) == PUBLISHED_PARAMETERS[kind]


def test_the_candidates_strides_are_the_tables() -> None:
    strides = {}
    for kind, network in PUBLISHED.items():
        stride, of_stages = 2, []
        for stage in network.stages:
            stride *= stage.stride
            of_stages.append(stride)
        strides[kind] = tuple(of_stages)
    assert strides == STAGE_STRIDES


@pytest.mark.parametrize("kind", TABLES)
def test_stages_that_are_not_kept_are_cut_off(kind: str) -> None:
    assert rows(resolve_stages(encoder(kind, stages=3))) == TABLES[kind].stages[:3]


def test_b1_is_b0_and_lite2_is_lite0_with_their_authors_multipliers() -> None:
    assert resolve_stages(encoder("efficientnet_b0", depth=1.1)) == resolve_stages(encoder("efficientnet_b1"))
    scaled = encoder("efficientnet_lite0", width=1.1, depth=1.2)
    assert resolve_stages(scaled) == resolve_stages(encoder("efficientnet_lite2"))
    assert resolve_stem(scaled).channels == 32


def test_half_the_width_halves_channels_and_hidden_channels_follow() -> None:
    stages = resolve_stages(encoder("mobilenetv2", width=0.5, stages=3))
    assert rows(stages) == [
        [Block(3, 16, 8, 0, "relu6", 1)],
        [Block(3, 48, 16, 0, "relu6", 2), Block(3, 96, 16, 0, "relu6", 1)],
        [Block(3, 96, 16, 0, "relu6", 2), *[Block(3, 96, 16, 0, "relu6", 1)] * 2],
    ]


def test_half_the_width_of_ghostnet_rounds_to_multiples_of_four() -> None:
    stages = resolve_stages(encoder("ghostnet", width=0.5))
    assert [stage.channels for stage in stages] == [8, 12, 20, 40, 56, 80]


def test_a_stages_keys_win_over_the_encoders_and_these_over_what_is_published() -> None:
    config = encoder(
        "mobilenetv3_large",
        stages=3,
        kernel=7,
        expansion=2,
        squeeze_excite=False,
        activation="relu6",
        depth=2,
        stage2={
            "kernel": 5,
            "expansion": 3,
            "squeeze_excite": True,
            "activation": "swish",
            "depth": 1,
            "width": 2,
        },
    )
    assert resolve_stem(config).activation == "relu6"
    assert rows(resolve_stages(config)) == [
        [Block(7, 32, 16, 0, "relu6", 1)] * 2,
        [Block(5, 48, 48, 16, "swish", 2)],
        [Block(7, 96, 40, 0, "relu6", 2), *[Block(7, 80, 40, 0, "relu6", 1)] * 5],
    ]


def test_a_stage_longer_than_published_repeats_its_last_block() -> None:
    stage = resolve_stages(encoder("mobilenetv3_large", stages=4, stage4={"depth": 6}))[3]
    hidden = [block.hidden for block in stage.blocks]
    assert hidden == [240, 200, 184, 184, 184, 184]


def test_a_stage_shorter_than_published_keeps_its_first_blocks() -> None:
    stage = resolve_stages(encoder("mobilenetv3_large", stages=4, stage4={"depth": 2}))[3]
    assert [block.hidden for block in stage.blocks] == [240, 200]


def test_squeeze_and_excite_where_none_is_published_has_the_familys_width() -> None:
    lite = resolve_stages(encoder("efficientnet_lite0", squeeze_excite=True))
    assert rows(lite)[1][1].squeezed == 24 // 4  # of the block's input
    large = resolve_stages(encoder("mobilenetv3_minimal", squeeze_excite=True))
    assert rows(large)[1][1].squeezed == 24  # of the hidden channels, 72 / 4 = 18, a multiple of 8, over 16.2


@given(kind=st.sampled_from(sorted(TABLES)), width=st.floats(0.1, 2), expansion=st.floats(1, 8))
def test_channels_are_multiples_of_the_divisor_and_never_fewer_inside(
    kind: str, width: float, expansion: float
) -> None:
    divisor = 4 if kind == "ghostnet" else 8
    for stage in resolve_stages(encoder(kind, width=width, expansion=expansion)):
        for block in stage.blocks:
            assert block.out_channels % divisor == block.hidden % divisor == 0
            assert block.hidden >= max(block.in_channels, 0.9 * expansion * block.in_channels)


@given(channels=st.floats(0.1, 5000), divisor=st.sampled_from([4, 8]))
def test_rounded_channels_are_near_and_never_more_than_a_tenth_below(channels: float, divisor: int) -> None:
    rounded = round_channels(channels, divisor)
    assert rounded % divisor == 0
    assert rounded >= 0.9 * channels
    assert rounded <= max(divisor, channels + divisor)
