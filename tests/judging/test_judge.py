"""Judging, with an exported file, and with predictors whose every answer is known."""

import dataclasses
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tflite_runtime
import torch
from small_splits import make_split

from sweep.data import DatasetError, Split, prepare_dataset, prepare_test_split
from sweep.export import export_network
from sweep.judging import judge
from sweep.judging.judge import (
    FrameMetrics,
    JudgedChunk,
    Judgement,
    combine,
    judge_chunk,
    judge_file,
    judge_frames,
)
from sweep.judging.metrics import (
    DepthMetrics,
    NonFinitePrediction,
    NothingToScore,
    depth_metrics,
    mean_metrics,
)
from sweep.models import DepthNetwork, build_network
from sweep.space.candidate import Architecture


@pytest.fixture(scope="module")
def network() -> DepthNetwork:
    """Untrained, but with predictions that depend on the image."""
    stage = {"depth": 1, "kernel": 3, "expansion": 2, "squeeze_excite": False, "activation": "relu"}
    architecture = Architecture.model_validate(
        {
            "input": {"height": 32, "width": 48, "resize": "bilinear"},
            "encoder": {
                "kind": "mobilenetv3",
                "width": 0.25,
                "stem_activation": "relu",
                "stage1": stage,
                "stage2": stage,
                "stop": {"kind": "stride_8"},
            },
            "decoder": {"kind": "separable", "width": 8, "upsampling": "nearest", "kernel": 3},
            "output": {"stride": 2, "upsampling": "bilinear"},
        }
    )
    torch.manual_seed(0)
    network = build_network(architecture).eval()
    torch.nn.init.normal_(network.head.weight, std=0.5)
    return network


@pytest.fixture(scope="module")
def frames() -> Split:
    """Four frames of 480x640; the third has no known depth."""
    split = make_split(4, 480, 640, seed=3)
    split.depth_mm[2] = 0
    return split


@pytest.fixture(scope="module")
def tflite(network: DepthNetwork, frames: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_network(network, tmp_path_factory.mktemp("export"), np.asarray(frames.rgb[:1])).tflite


class Constant:
    """Answers with one depth everywhere."""

    version = "constant 1.0"

    def __init__(self, depth_mm: float) -> None:
        self.depth_mm = depth_mm

    def predict(self, rgb: np.ndarray) -> np.ndarray:
        return np.full(rgb.shape[:2], self.depth_mm, dtype=np.float32)


def write_pair(folder: Path, name: str, rgb: np.ndarray, depth_mm: np.ndarray) -> None:
    """A pair in the challenge's layout."""
    for kind, image in (("rgb", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)), ("depth", depth_mm)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / kind / f"{name}.png"), image)


def close_to(metrics: DepthMetrics | None) -> DepthMetrics | None:
    if metrics is None:
        return None
    return DepthMetrics(*(pytest.approx(value, rel=1e-4) for value in dataclasses.astuple(metrics)))


def test_the_exported_file_scores_what_its_network_scores(
    tflite: Path, network: DepthNetwork, frames: Split
) -> None:
    with torch.inference_mode():
        depths = network.depth_mm(torch.from_numpy(np.asarray(frames.rgb)).permute(0, 3, 1, 2).float())
    expected = [
        FrameMetrics(index, name, close_to(depth_metrics(depths[index, 0].numpy(), frames.depth_mm[index])))
        for index, name in enumerate(frames.names)
    ]
    found = judge_file(tflite, frames)
    assert list(found) == expected
    assert [frame.metrics is None for frame in found] == [False, False, True, False]


def test_only_the_chosen_frames_are_judged_in_the_order_asked(tflite: Path, frames: Split) -> None:
    every = judge_file(tflite, frames)
    assert judge_file(tflite, frames, [3, 0]) == (every[3], every[0])


def test_a_prediction_that_is_not_finite_names_its_frame(frames: Split) -> None:
    with pytest.raises(NonFinitePrediction, match="frame_001"):
        judge_frames(Constant(float("nan")), frames, [1])


@pytest.mark.parametrize("index", [-1, 4])
def test_a_frame_that_does_not_exist_is_an_error(frames: Split, index: int) -> None:
    with pytest.raises(IndexError, match=rf"frame {index} does not exist: the split has 4"):
        judge_frames(Constant(1000), frames, [index])


def test_chunks_in_any_order_combine_into_the_judgement_of_the_whole(frames: Split) -> None:
    predictor = Constant(3000)
    whole = judge_frames(predictor, frames, range(4))
    chunks = [
        JudgedChunk(judge_frames(predictor, frames, range(start, stop)), 4, predictor.version)
        for start, stop in reversed(judge.chunk_ranges(4, 3))
    ]
    assert combine(chunks) == Judgement(
        metrics=mean_metrics(frame.metrics for frame in whole),
        per_frame=whole,
        frames=3,
        interpreter_version="constant 1.0",
    )


@pytest.fixture
def images(frames: Split, tmp_path: Path) -> Path:
    """A folder with one training, three validation and two test pairs."""
    folder = tmp_path / "images"
    extra = make_split(2, 480, 640, seed=4)
    for split, source, indices in (
        ("train", frames, [1]), ("validation", frames, [0, 1, 3]), ("test", extra, [0, 1])
    ):  # fmt: skip
        for index in indices:
            write_pair(folder / split, f"{split}-{index}", source.rgb[index], source.depth_mm[index])
    return folder


def test_chunks_of_a_prepared_data_set_combine_into_the_files_judgement(
    tflite: Path, images: Path, tmp_path: Path
) -> None:
    dataset = prepare_dataset(images, tmp_path / "cache", lambda *_: None)

    chunks = [judge_chunk(tflite, dataset.path, start, stop) for start, stop in ((0, 2), (2, 3))]

    per_frame = judge_file(tflite, dataset.validation)
    assert combine(reversed(chunks)) == Judgement(
        metrics=mean_metrics(frame.metrics for frame in per_frame),
        per_frame=per_frame,
        frames=3,
        interpreter_version=tflite_runtime.__version__,
        split="validation",
    )


def test_chunks_of_the_held_out_split_combine_into_its_own_judgement(
    tflite: Path, images: Path, tmp_path: Path
) -> None:
    held_out = prepare_test_split(images, tmp_path / "cache", lambda *_: None)

    chunks = [judge_chunk(tflite, held_out.path, start, start + 1, split="test") for start in range(2)]

    per_frame = judge_file(tflite, make_split(2, 480, 640, seed=4))
    assert combine(reversed(chunks)) == Judgement(
        metrics=mean_metrics(frame.metrics for frame in per_frame),
        per_frame=tuple(dataclasses.replace(frame, name=f"test-{frame.index}") for frame in per_frame),
        frames=2,
        interpreter_version=tflite_runtime.__version__,
        split="test",
    )


def test_validation_is_judged_the_same_when_the_held_out_split_is_gone(
    tflite: Path, images: Path, tmp_path: Path
) -> None:
    dataset = prepare_dataset(images, tmp_path / "cache", lambda *_: None)
    held_out = prepare_test_split(images, tmp_path / "cache", lambda *_: None)
    before = judge_chunk(tflite, dataset.path, 0, 3)
    shutil.rmtree(held_out.path)
    shutil.rmtree(images / "test")
    assert judge_chunk(tflite, dataset.path, 0, 3) == before


def test_no_split_is_judged_in_place_of_another(tflite: Path, images: Path, tmp_path: Path) -> None:
    dataset = prepare_dataset(images, tmp_path / "cache", lambda *_: None)
    held_out = prepare_test_split(images, tmp_path / "cache", lambda *_: None)
    with pytest.raises(DatasetError, match="not a prepared test split"):
        judge_chunk(tflite, dataset.path, 0, 1, split="test")
    with pytest.raises(DatasetError, match="not a prepared data set"):
        judge_chunk(tflite, held_out.path, 0, 1)
    with pytest.raises(ValueError, match="split 'train' is not judged; allowed: validation, test"):
        judge_chunk(tflite, dataset.path, 0, 1, split="train")


def test_chunks_of_different_splits_are_an_error() -> None:
    frame = FrameMetrics(0, "x", DepthMetrics(0.1, 0.1, 0.1, 0.1))
    with pytest.raises(ValueError, match=r"different splits: \['test', 'validation'\]"):
        combine([JudgedChunk((frame,), 1, "2.5.0"), JudgedChunk((), 1, "2.5.0", "test")])


@pytest.mark.parametrize("indices", [[0, 2], [0, 1, 1], [1], [0, 1]])
def test_missing_or_repeated_frames_are_an_error(indices: list[int]) -> None:
    metrics = DepthMetrics(0.1, 0.1, 0.1, 0.1)
    chunks = [JudgedChunk((FrameMetrics(index, "x", metrics),), 3, "1.0") for index in indices]
    with pytest.raises(ValueError, match="each of 3 frames once"):
        combine(chunks)


def test_different_interpreters_are_an_error() -> None:
    frame = FrameMetrics(0, "x", DepthMetrics(0.1, 0.1, 0.1, 0.1))
    with pytest.raises(ValueError, match=r"different interpreters: \['2.14.0', '2.5.0'\]"):
        combine([JudgedChunk((frame,), 1, "2.5.0"), JudgedChunk((), 1, "2.14.0")])


def test_no_chunk_and_no_score_are_errors() -> None:
    with pytest.raises(ValueError, match="no chunks"):
        combine([])
    with pytest.raises(NothingToScore):
        combine([JudgedChunk((FrameMetrics(0, "x", None),), 1, "1.0")])


@pytest.mark.parametrize(("frames", "chunks"), [(200, 2), (7, 3), (2, 5), (1, 1)])
def test_chunks_cover_all_frames_evenly(frames: int, chunks: int) -> None:
    ranges = judge.chunk_ranges(frames, chunks)
    assert [index for start, stop in ranges for index in range(start, stop)] == list(range(frames))
    lengths = [stop - start for start, stop in ranges]
    assert len(ranges) == min(frames, chunks)
    assert max(lengths) - min(lengths) <= 1
