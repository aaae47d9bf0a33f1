"""Every file of a network, by the real exporter: their names, their calibration, and what becomes of failures."""

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from simulated_sweep import SPACE

from sweep.data import prepare_dataset
from sweep.engine.exporting import calibration_frames, export_files
from sweep.engine.exports import ExportedFile
from sweep.engine.tasks import export_candidate
from sweep.export.interpreter import TFLiteRunner
from sweep.models import DepthNetwork, build_network
from sweep.models.untrained import settle_batch_norm
from sweep.space import Candidate, ExportChoices, RandomSuggest
from sweep.space.exports import choices

sys.path.append(str(Path(__file__).parents[1] / "data"))
from real_pairs import write_real_pairs

ONE = (1,), ("xnnpack",)
FLOATS = choices(("fp32", "fp16"), *ONE)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Idle torch threads that spin make a busy machine crawl."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def photos() -> NDArray[np.uint8]:
    pictures = (skimage.data.astronaut(), skimage.data.coffee())
    return np.stack([cv2.resize(picture, (640, 480)) for picture in pictures])


@pytest.fixture(scope="module")
def candidate() -> Candidate:
    return SPACE.draw(RandomSuggest(1))[1]


def network_of(candidate: Candidate, frames: NDArray[np.uint8], upsampling: str | None) -> DepthNetwork:
    architecture = candidate.architecture
    if upsampling is not None:
        output = architecture.output.model_copy(update={"upsampling": upsampling})
        architecture = architecture.model_copy(update={"output": output})
    torch.manual_seed(0)
    network = build_network(architecture)
    settle_batch_norm(network, frames)
    torch.nn.init.normal_(network.head.weight, std=0.3)
    return network.eval()


def export(
    candidate: Candidate,
    directory: Path,
    frames: NDArray[np.uint8],
    tried: ExportChoices,
    calibration: NDArray[np.uint8] | None = None,
    runtime: str = "",
) -> list[ExportedFile]:
    def make(upsampling: str | None) -> DepthNetwork:
        return network_of(candidate, frames, upsampling)

    return export_files(make, directory, frames, calibration, tried, runtime)


def test_files_are_named_by_their_variant(
    candidate: Candidate, photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    fp32, fp16 = export(candidate, tmp_path, photos, FLOATS)
    assert (fp32.name, fp16.name) == ("fp32_bilinear", "fp16_bilinear")
    assert fp32.facts["tflite"] == str(tmp_path / "model.tflite")
    assert fp16.facts["tflite"] == str(tmp_path / "model_fp16.tflite")
    assert (
        fp16.facts["size_bytes"] == (tmp_path / "model_fp16.tflite").stat().st_size < fp32.facts["size_bytes"]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.onnx",
        "model.tflite",
        "model_fp16.tflite",
    ]


def test_one_float32_file_has_the_facts_that_it_always_had(
    candidate: Candidate, photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    (only,) = export(candidate, tmp_path, photos[:1], ExportChoices())
    assert set(only.facts) == {
        *("tflite", "onnx", "sha256", "size_bytes", "parameters", "multiply_adds", "operators"),
        *("parity", "seconds"),
    }


def test_each_last_resize_has_its_files_of_the_same_weights(
    candidate: Candidate, photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    tried = choices(("fp32", "fp16"), *ONE, ("bilinear", "nearest"))
    files = export(candidate, tmp_path, photos[:1], tried)
    assert [file.name for file in files] == ["fp32_bilinear", "fp16_bilinear", "fp32_nearest", "fp16_nearest"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["model_bilinear.onnx", "model_nearest.onnx", *(f"model_{file.name}.tflite" for file in files)]
    )
    frame = torch.from_numpy(photos[:1].copy()).permute(0, 3, 1, 2).float()
    for file in files:
        assert Path(file.facts["onnx"]).is_file()
        found = TFLiteRunner(Path(file.facts["tflite"])).predict(photos[0])
        with torch.no_grad():
            truth = network_of(candidate, photos[:1], file.output_upsampling).depth_mm(frame)[0, 0].numpy()
        np.testing.assert_allclose(found, truth, rtol=1e-3 if file.variant == "fp32" else 0.05)


def test_an_export_that_is_repeated_replaces_its_files(
    candidate: Candidate, photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    tried = choices(("fp32",), *ONE, ("nearest",))
    (first,) = export(candidate, tmp_path, photos[:1], tried)
    content = Path(first.facts["tflite"]).read_bytes()
    Path(first.facts["tflite"]).write_bytes(b"torn")
    (second,) = export(candidate, tmp_path, photos[:1], tried)
    assert second.facts["sha256"] == first.facts["sha256"]
    assert Path(second.facts["tflite"]).read_bytes() == content


def test_a_variant_that_fails_tells_why_and_hinders_no_other(
    candidate: Candidate, photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    black = np.zeros((1, 480, 640, 3), np.uint8)  # ranges that no real frame keeps
    tried = choices(("fp32", "int8", "fp16"), *ONE)
    fp32, int8, fp16 = export(candidate, tmp_path, photos, tried, calibration=black)
    assert (fp32.reason, fp16.reason) == ("", "")
    assert "the int8 file differs from the float32 file" in int8.reason
    assert not int8.facts
    assert not (tmp_path / "model_int8.tflite").exists()


def test_a_file_that_the_target_s_runtime_cannot_run_names_the_operator_and_the_nearest_form(
    candidate: Candidate, photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    (here,) = export(candidate, tmp_path, photos[:1], ExportChoices(), runtime="tflite-2.14.0")
    assert here.reason == ""
    (old,) = export(candidate, tmp_path, photos[:1], ExportChoices(), runtime="tflite-1.14.0")
    assert old.reason.startswith("tflite-1.14.0 lacks ")
    assert "RESIZE_BILINEAR version 3" in old.reason
    assert "nearest that it has: RESIZE_NEAREST_NEIGHBOR version 1" in old.reason
    (unknown,) = export(candidate, tmp_path, photos[:1], ExportChoices(), runtime="simulated-1")
    assert unknown.reason == ""


@pytest.mark.parametrize("count", [3, 99])
def test_calibration_frames_are_training_images_whose_2x2_means_are_exact(count: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 240, 320, 3), dtype=np.uint8)
    frames = calibration_frames(images, count, seed=5)
    assert frames.shape == (min(count, 8), 480, 640, 3)
    means = frames.reshape(-1, 240, 2, 320, 2, 3).mean(axis=(2, 4))
    sources = [[place for place, image in enumerate(images) if (image == mean).all()] for mean in means]
    drawn = [place for found in sources for place in found]
    assert drawn == sorted(set(drawn))
    assert len(drawn) == len(frames)
    assert (calibration_frames(images, count, seed=5) == frames).all()
    if count == 3:
        assert not (calibration_frames(images, count, seed=6) == frames).all()


def test_the_task_exports_all_variants_of_a_candidate_untrained(candidate: Candidate, tmp_path: Path) -> None:
    pairs = write_real_pairs(tmp_path / "pairs", train=4, validation=2)
    dataset = prepare_dataset(pairs, tmp_path / "cache", lambda *_: None)
    tried = choices(("int8", "fp32"), *ONE)
    files = export_candidate(
        candidate.model_dump(mode="json"),
        str(dataset.path),
        str(tmp_path / "out"),
        None,
        0,
        None,
        tried,
        "tflite-2.14.0",
    )
    assert [(file.name, file.reason) for file in files] == [("int8_bilinear", ""), ("fp32_bilinear", "")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "model.onnx",
        "model.tflite",
        "model_int8.tflite",
    ]
