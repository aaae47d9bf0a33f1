"""One call exports a network in every form asked for, and each form is checked before it appears."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_support import lower_network, trained_looking, with_constant
from numpy.typing import NDArray

from sweep.export import ExportedFiles, ParityError, check_contract, export_network, inspect_model
from sweep.export.differences import relative_difference
from sweep.export.interpreter import _OPEN, Runtime, TFLiteRunner, runtimes_at_hand
from sweep.export.parity import check_other_runtimes, tflite_depth_mm
from sweep.export.quantization.calibration import calibrate
from sweep.export.variant_parity import TOLERANCES, check_variant
from sweep.export.variants import VARIANTS, Variant, convert
from sweep.export.versions import release
from sweep.export.writer import write_tflite
from sweep.models import DepthNetwork
from sweep.space.candidate import Architecture

Photos = NDArray[np.uint8]
FILE_NAMES: dict[Variant, str] = {
    "fp32": "model.tflite",
    "fp16": "model_fp16.tflite",
    "dynamic_int8": "model_dynamic_int8.tflite",
    "int8": "model_int8.tflite",
    "int8_uint8_input": "model_int8_uint8_input.tflite",
    "uint8": "model_uint8.tflite",
}


@pytest.fixture(scope="module")
def network(architectures: dict[str, Architecture]) -> DepthNetwork:
    return trained_looking(architectures["concat"])


@pytest.fixture(scope="module")
def exported(
    network: DepthNetwork, photos: Photos, tmp_path_factory: pytest.TempPathFactory
) -> ExportedFiles:
    folder = tmp_path_factory.mktemp("variants")
    return export_network(network, folder, photos, variants=VARIANTS, calibration=photos)


def test_every_variant_has_a_file_of_its_own_beside_the_onnx_file(exported: ExportedFiles) -> None:
    folder = exported.tflite.parent
    assert {name: file.tflite for name, file in exported.variants.items()} == {
        name: folder / file for name, file in FILE_NAMES.items()
    }
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILE_NAMES.values(), "model.onnx"])


def test_each_file_is_described_as_it_is(exported: ExportedFiles) -> None:
    for file in exported.variants.values():
        info = inspect_model(file.tflite)
        assert file.size_bytes == file.tflite.stat().st_size == info.size_bytes
        assert file.operators == info.operator_counts
        assert 0 < file.seconds <= exported.seconds
    assert len({file.sha256 for file in exported.variants.values()}) == len(VARIANTS)


def test_the_first_variant_is_what_the_export_as_a_whole_describes(
    network: DepthNetwork, exported: ExportedFiles, photos: Photos, tmp_path: Path
) -> None:
    again = export_network(network, tmp_path, photos, variants=("int8", "fp32"), calibration=photos)
    assert again.tflite == tmp_path / "model_int8.tflite"
    assert again.sha256 == exported.variants["int8"].sha256
    assert again.size_bytes == exported.variants["int8"].size_bytes
    assert again.operators == exported.variants["int8"].operators
    assert list(again.variants) == ["int8", "fp32"]
    assert again.variants["fp32"].sha256 == exported.sha256
    assert again.parity == exported.parity


def test_the_float_file_is_left_out_where_it_is_not_asked_for(
    network: DepthNetwork, photos: Photos, tmp_path: Path
) -> None:
    files = export_network(network, tmp_path, photos[:1], variants=("fp16",))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model_fp16.tflite"]
    assert list(files.variants) == ["fp16"]


def test_frames_serve_as_calibration_where_there_is_none(
    network: DepthNetwork, exported: ExportedFiles, photos: Photos, tmp_path: Path
) -> None:
    files = export_network(network, tmp_path, photos, variants=("int8",))
    assert files.sha256 == exported.variants["int8"].sha256


def test_differences_are_those_to_the_float_file(exported: ExportedFiles, photos: Photos) -> None:
    expected = tflite_depth_mm(exported.variants["fp32"].tflite, photos).astype(np.float64)
    for name, file in exported.variants.items():
        runner = TFLiteRunner(file.tflite)
        error = np.abs([runner.predict(photo) for photo in photos] - expected) / expected
        assert file.max_relative == pytest.approx(error.max(), abs=1e-12)
        assert file.mean_relative == pytest.approx(error.mean(), abs=1e-12)
        assert file.mean_relative <= TOLERANCES[name].depth
        logs = np.log([runner.predict(photo) for photo in photos]) - np.log(expected)
        assert file.si_rmse == pytest.approx(max(np.std(log) for log in logs), abs=1e-6)
    assert exported.variants["fp32"].max_relative == 0.0
    assert exported.variants["fp16"].mean_relative < 0.002
    assert exported.variants["int8"].mean_relative < 0.05


def test_every_file_answers_alike_under_every_runtime_at_hand(
    exported: ExportedFiles, photos: Photos
) -> None:
    assert runtimes_at_hand() == ("tflite-runtime", "tflite-runtime without XNNPACK", "LiteRT")
    for name, file in exported.variants.items():
        found = [
            TFLiteRunner(file.tflite, runtime=runtime).predict(photos[0]) for runtime in runtimes_at_hand()
        ]
        limit = 1e-4 if name in ("fp32", "fp16") else 0.06
        for other in found[1:]:
            assert relative_difference(other, found[0]).mean() < limit


@pytest.mark.parametrize("runtime", runtimes_at_hand()[1:])
def test_a_file_that_another_runtime_computes_wrongly_is_refused(
    runtime: Runtime,
    exported: ExportedFiles,
    architectures: dict[str, Architecture],
    photos: Photos,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = tmp_path / "other.tflite"
    other.write_bytes(write_tflite(lower_network(trained_looking(architectures["concat"], seed=1)), ""))
    under = _OPEN[runtime]
    monkeypatch.setitem(_OPEN, runtime, lambda _, threads: under(str(other), threads))
    tflite = exported.variants["fp32"].tflite
    expected_mm = TFLiteRunner(tflite).predict(photos[0])
    with pytest.raises(ParityError, match=rf"^under {runtime} the TFLite file differs from itself by "):
        check_other_runtimes(tflite, photos[0], expected_mm, 1e-3)


def test_every_file_keeps_the_contract_and_runs_on_tflite_2_5(exported: ExportedFiles) -> None:
    types = {}
    for name, file in exported.variants.items():
        contract = check_contract(file.tflite)
        types[name] = (contract.input_type, contract.depth_encoding is not None)
        runtime = inspect_model(file.tflite).min_runtime_version
        assert runtime is not None
        assert release(runtime) <= (2, 5, 0)
    assert types == {
        "fp32": ("float32", False),
        "fp16": ("float32", False),
        "dynamic_int8": ("float32", False),
        "int8": ("float32", False),
        "int8_uint8_input": ("uint8", False),
        "uint8": ("uint8", True),
    }


def test_quantised_files_are_smaller(exported: ExportedFiles) -> None:
    sizes = {name: file.size_bytes for name, file in exported.variants.items()}
    assert sizes["fp16"] < 0.7 * sizes["fp32"]
    assert max(sizes["int8"], sizes["dynamic_int8"], sizes["uint8"]) < 0.6 * sizes["fp32"]


@pytest.mark.parametrize("place", ["encoder/stages.0/", "decoder/blocks.2/"])
def test_a_file_that_is_broken_within_fails_with_the_layer_that_diverges_first(
    place: str, network: DepthNetwork, photos: Photos, tmp_path: Path
) -> None:
    graph = lower_network(network)
    converted = convert(graph, "int8", calibrate(graph, photos))
    layer = next(op for op in graph.operators if place in op.output and op.builtin == "CONV_2D")
    weights = converted.tensor(layer.inputs[1])
    assert weights.data is not None
    broken = with_constant(converted, weights.name, -weights.data)
    path, float_path = tmp_path / "broken.tflite", tmp_path / "float.tflite"
    path.write_bytes(write_tflite(broken, "broken"))
    float_path.write_bytes(write_tflite(graph, "float"))
    expected = tflite_depth_mm(float_path, photos)
    with pytest.raises(ParityError, match=rf"int8 file differs .* layer that diverges is '{layer.output}'"):
        check_variant(graph, broken, "int8", path, photos, expected)


def test_nothing_appears_when_one_variant_fails(
    network: DepthNetwork, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweep.export import variant_parity

    strict = {**TOLERANCES, "fp16": variant_parity.Tolerance(0.0, 0.0)}
    monkeypatch.setattr(variant_parity, "TOLERANCES", strict)
    with pytest.raises(ParityError, match=r"fp16 file differs from the float32 file by .*, allowed is 0"):
        export_network(network, tmp_path, photos[:1], variants=("fp32", "fp16"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"variants": ()}, "variants are ()"),
        ({"variants": ("int8", "int8")}, "allowed are one or more of"),
        ({"variants": ("int4",)}, "variants are ('int4',)"),
        ({"calibration": np.zeros((0, 480, 640, 3), np.uint8)}, "calibration frames are (0, 480, 640, 3)"),
        ({"calibration": np.zeros((1, 480, 640, 3), np.float32)}, "calibration frames are"),
    ],
)
def test_a_wrong_request_says_what_is_allowed(
    asked: dict[str, Any], message: str, network: DepthNetwork, photos: Photos, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="allowed") as error:
        export_network(network, tmp_path, photos, **asked)
    assert message in str(error.value)


def test_reading_the_names_of_variants_loads_no_interpreter() -> None:
    code = (
        "import sys, sweep.export.variants; "
        "print(sorted({'torch', 'onnx', 'tflite_runtime', 'tensorflow'} & set(sys.modules)))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"
