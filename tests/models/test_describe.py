"""A network's figures against counts by hand, and its receptive fields against gradients."""

from collections.abc import Sequence
from typing import Any, Literal

import pytest
import torch
from network_support import ASPP, COLLAPSIBLE, DECODERS, STAGE, architecture
from torch import Tensor, nn

from sweep.models import DepthNetwork, build_network
from sweep.models.collapse import CollapsibleConv
from sweep.models.describe import ReceptiveField, describe_network
from sweep.space.candidate import Architecture
from sweep.space.decoders import OwnDecoder

CONCAT = {"kind": "concat", "width": 16, "upsampling": "bilinear", "taper": 0.5}
ADD = {"kind": "add", "width": 16, "upsampling": "nearest"}
SEPARABLE = {"kind": "separable", "width": 16, "upsampling": "bilinear", "kernel": 5}


class Rolling(nn.Module):
    """Features that went once around the image: no operation that can be followed."""

    out_channels = 16

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return torch.roll(features[0], 1, dims=2)


class RollingDecoder(OwnDecoder):
    """Its configuration."""

    kind: Literal["test_describe:RollingDecoder"]

    def build(self, encoder_channels: Sequence[int], output_stride: int) -> Rolling:
        assert (encoder_channels[0], output_stride) == (16, 2)
        return Rolling()


def counted_by_hand(network: DepthNetwork) -> tuple[int, int]:
    """Parameters and multiply-adds as exported: for each convolution, outputs x inputs per group x taps."""
    multiply_adds = 0

    def count(conv: Any, _inputs: object, output: Tensor) -> None:
        nonlocal multiply_adds
        taps = conv.kernel_size[0] * conv.kernel_size[1]
        multiply_adds += output[0].numel() * conv.in_channels // conv.groups * taps

    parameters = 0
    for module in network.modules():
        if isinstance(module, nn.Conv2d | CollapsibleConv):
            module.register_forward_hook(count)
            taps = module.kernel_size[0] * module.kernel_size[1]
            parameters += module.out_channels * (module.in_channels // module.groups) * taps
            parameters += module.out_channels if module.bias is not None else 0
        elif isinstance(module, nn.BatchNorm2d):
            parameters += 2 * module.num_features
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, *network.inner_size))
    return parameters, multiply_adds


def sees_by_gradient(network: DepthNetwork, which: str, period: int) -> tuple[int, int]:
    """Rows and columns of the inner image on which the most far-sighted position in the middle depends.

    All weights become positive and batch normalisation nothing, so that no two ways cancel each other.
    """
    network = network.double().eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    inner = torch.full((1, 3, *network.inner_size), 64.0, dtype=torch.float64, requires_grad=True)
    *_, deepest = network.encoder(inner)
    features = deepest if which == "encoder" else network.features(inner)
    found = (0, 0)
    for shift in range(period):
        y, x = features.shape[2] // 2 + shift, features.shape[3] // 2 + shift
        (gradient,) = torch.autograd.grad(features[0, :, y, x].sum(), inner, retain_graph=True)
        rows, columns = (torch.nonzero(gradient[0].sum(dim=(0, axis))).flatten() for axis in (2, 1))
        assert rows[0] > 0  # or the border would hide a part of the field
        assert rows[-1] < inner.shape[2] - 1
        found = (
            max(found[0], int(rows[-1] - rows[0]) + 1),
            max(found[1], int(columns[-1] - columns[0]) + 1),
        )
    return found


@pytest.mark.parametrize("decoder", [*DECODERS.values(), CONCAT, ADD, SEPARABLE], ids=lambda d: d["kind"])
@pytest.mark.parametrize("context", [None, ASPP], ids=["plain", "aspp"])
def test_parameters_and_multiply_adds_equal_a_count_by_hand(
    decoder: dict[str, Any], context: dict[str, Any] | None
) -> None:
    network = build_network(architecture(decoder, context=context))
    found = describe_network(network)
    parameters, multiply_adds = counted_by_hand(network)
    assert found.parameters == parameters
    assert found.multiply_adds == multiply_adds
    assert found.training_parameters == sum(weights.numel() for weights in network.parameters())
    assert [part.name for part in found.parts] == [
        "encoder",
        *(["context"] if context else []),
        "decoder",
        "head",
    ]


@pytest.mark.parametrize("width", [0.5, 1.0])
def test_a_whole_published_encoder_with_squeeze_excite_is_counted_too(width: float) -> None:
    network = build_network(
        Architecture.model_validate(
            {
                "input": {"height": 64, "width": 96, "resize": "pooled"},
                "encoder": {"kind": "mobilenetv3_large", "width": width, "stages": 6},
                "decoder": ADD,
                "output": {"stride": 4, "upsampling": "nearest"},
            }
        )
    )
    found = describe_network(network)
    assert (found.parameters, found.multiply_adds) == counted_by_hand(network)
    assert found.encoder_field is not None
    assert found.encoder_field.whole_image


@pytest.mark.parametrize(
    ("decoder", "options"),
    [
        (ADD, {}),
        (CONCAT, {}),
        (SEPARABLE, {"stride": 4}),
        (DECODERS["light"], {"stride": 1}),
        (DECODERS["simple fusion"], {}),
        (DECODERS["separable feature fusion"], {}),
        (CONCAT, {"stride": 4, "inner": {"kind": "resize_to", "height": 48, "width": 60}}),
    ],
    ids=lambda option: str(option.get("kind", option)),
)
def test_receptive_fields_equal_where_gradients_come_from(
    decoder: dict[str, Any], options: dict[str, Any]
) -> None:
    config = architecture(decoder, size=(256, 320), **options)
    found = describe_network(build_network(config))
    expected = {
        which: ReceptiveField(*sees_by_gradient(build_network(config), which, period), whole_image=False)
        for which, period in (("encoder", 1), ("decoder", 16))
    }
    assert {"encoder": found.encoder_field, "decoder": found.decoder_field} == expected


def test_dilated_branches_widen_the_field_and_pooled_ones_make_it_the_whole_image() -> None:
    plain = describe_network(build_network(architecture(ADD)))
    wide = describe_network(build_network(architecture(ADD, context=ASPP)))
    assert plain.decoder_field is not None
    assert wide.decoder_field is not None
    # The widest 3x3 branch looks 3 x 2 positions of stride 16 to each side.
    assert wide.decoder_field == ReceptiveField(
        plain.decoder_field.height + 2 * 6 * 16, plain.decoder_field.width + 2 * 6 * 16, whole_image=True
    )


def test_the_stages_tell_shapes_strides_and_fields_in_order() -> None:
    found = describe_network(
        build_network(
            architecture(ADD, size=(64, 96), stride=4, inner={"kind": "resize_to", "height": 24, "width": 48})
        )
    )
    shown = [
        (stage.name, stage.channels, (stage.height, stage.width), stage.strides) for stage in found.stages
    ]
    assert shown == [
        ("encoder.stem", 16, (32, 48), (2, 2)),
        ("encoder.stages.0", 24, (16, 24), (4, 4)),
        ("encoder.stages.1", 40, (8, 12), (8, 8)),
        ("encoder.stages.2", 112, (4, 6), (16, 16)),
        ("decoder.top", 16, (4, 6), (16, 16)),
        ("decoder.laterals.0", 16, (8, 12), (8, 8)),
        ("decoder.blocks.0", 16, (8, 12), (8, 8)),
        ("decoder.laterals.1", 16, (16, 24), (4, 4)),
        ("decoder.blocks.1", 16, (16, 24), (4, 4)),
        ("head", 1, (24, 48), (64 / 24, 2)),
    ]
    fields = [stage.receptive_field for stage in found.stages[:4]]
    # 3, then a 3x3 of stride 2 on strides 2, 4 and 8
    assert fields == [ReceptiveField(size, size, whole_image=False) for size in (3, 7, 15, 31)]
    assert sum(stage.multiply_adds for stage in found.stages) == found.multiply_adds
    assert sum(stage.parameters for stage in found.stages) == found.parameters


def test_bilinear_resizes_are_counted_apart_and_nearest_ones_cost_nothing() -> None:
    bilinear = describe_network(build_network(architecture(CONCAT, size=(64, 96), stride=8)))
    assert bilinear.resize_multiply_adds == {
        "input": 4 * 3 * 64 * 96,
        "network": 4 * 112 * 8 * 12,
        "output": 4 * 480 * 640,
    }
    nearest = describe_network(build_network(architecture(ADD, upsampling="nearest")))
    assert nearest.resize_multiply_adds == {"input": 4 * 3 * 64 * 96, "network": 0, "output": 0}


def test_collapsible_blocks_count_as_the_single_convolutions_they_become() -> None:
    network = build_network(architecture(COLLAPSIBLE))
    before = {name: weights.clone() for name, weights in network.state_dict().items()}
    decoder = next(part for part in describe_network(network).parts if part.name == "decoder")
    trained = sum(weights.numel() for weights in network.decoder.parameters())
    assert decoder.training_parameters == trained > 2 * decoder.parameters
    assert all(torch.equal(before[name], weights) for name, weights in network.state_dict().items())
    assert network.training


def test_a_field_behind_an_operation_that_cannot_be_followed_is_not_known() -> None:
    found = describe_network(build_network(architecture({"kind": "test_describe:RollingDecoder"})))
    assert found.encoder_field == ReceptiveField(31, 31, whole_image=False)
    assert found.decoder_field is None
    assert found.stages[-1].name == "head"
    assert found.stages[-1].receptive_field is None


def test_squeeze_excite_lets_the_whole_image_take_part_without_widening_the_local_field() -> None:
    config = architecture(ADD).model_dump(mode="json")
    config["encoder"]["stage1"] = {**STAGE, "squeeze_excite": True}
    found = describe_network(build_network(Architecture.model_validate(config)))
    without = describe_network(build_network(architecture(ADD)))
    assert without.encoder_field is not None
    assert found.encoder_field == ReceptiveField(
        without.encoder_field.height, without.encoder_field.width, whole_image=True
    )
    assert [stage.receptive_field.whole_image for stage in found.stages[:3] if stage.receptive_field] == [
        False,
        True,
        True,
    ]
