"""An exported TFLite file, held against the frames of the validation split or of the held-out one.

Figures always come from the exported file, never from the network it was made of. Frames are independent, so
the work splits into chunks: ``judge_chunk`` scores one (open files are memory-mapped and shared between
processes on a host) and ``combine`` joins the parts, in any order, into the same judgement.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from sweep.data import Split, load_dataset, load_test_split
from sweep.export.interpreter import TFLiteRunner
from sweep.judging.metrics import DepthMetrics, depth_metrics, mean_metrics

JudgedSplit = Literal["validation", "test"]


class Predictor(Protocol):
    """What turns a frame into depth; a TFLite interpreter outside tests."""

    @property
    def version(self) -> str:
        """The interpreter's name and version."""
        ...

    def predict(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Map (480, 640, 3) RGB to (480, 640) depth in millimetres."""
        ...


@dataclass(frozen=True)
class FrameMetrics:
    """One frame's result; ``metrics`` is None where the frame has no pixel of known depth."""

    index: int
    name: str
    metrics: DepthMetrics | None


@dataclass(frozen=True)
class JudgedChunk:
    """Results of some of a split's frames.

    Attributes:
        frames: the judged frames.
        split_frames: how many frames the whole split has.
        interpreter_version: the interpreter that ran the file.
        split: the split.
    """

    frames: tuple[FrameMetrics, ...]
    split_frames: int
    interpreter_version: str
    split: JudgedSplit = "validation"


@dataclass(frozen=True)
class Judgement:
    """A file's figures over a whole split.

    Attributes:
        metrics: mean over the frames that have a score.
        per_frame: every frame, in the split's order.
        frames: number of frames that have a score.
        interpreter_version: the interpreter that ran the file.
        split: the split, so that figures of the held-out one are never taken for others.
    """

    metrics: DepthMetrics
    per_frame: tuple[FrameMetrics, ...]
    frames: int
    interpreter_version: str
    split: JudgedSplit = "validation"


def judge_frames(predictor: Predictor, split: Split, indices: Sequence[int]) -> tuple[FrameMetrics, ...]:
    """Score the frames at ``indices``, in that order.

    Raises:
        NonFinitePrediction: a prediction holds NaN or infinity; the error names the frame.
        ValueError: a prediction has another shape than the frame.
        IndexError: an index lies outside of the split.
    """
    return tuple(_judge_frame(predictor, split, index) for index in indices)


def _judge_frame(predictor: Predictor, split: Split, index: int) -> FrameMetrics:
    if not 0 <= index < len(split.names):
        raise IndexError(f"frame {index} does not exist: the split has {len(split.names)} frames, from 0 on")
    name = split.names[index]
    prediction_mm = predictor.predict(np.asarray(split.rgb[index]))
    return FrameMetrics(index, name, depth_metrics(prediction_mm, split.depth_mm[index], frame=name))


def judge_file(tflite: Path, split: Split, indices: Sequence[int] | None = None) -> tuple[FrameMetrics, ...]:
    """Run a TFLite file on one thread over frames of a 480x640 split, all of them by default, and score them.

    Raises:
        NonFinitePrediction, ValueError, IndexError: as :func:`judge_frames`; and what the interpreter raises
            for a file that it cannot run.
    """
    chosen = range(len(split.names)) if indices is None else indices
    return judge_frames(TFLiteRunner(tflite, threads=1), split, chosen)


def judge_chunk(
    tflite_path: Path, data_path: Path, start: int, stop: int, split: JudgedSplit = "validation"
) -> JudgedChunk:
    """Judge the frames ``start`` to ``stop`` (exclusive) of a prepared split, on one thread.

    Only plain values go in, so that this runs as a task in another process.

    Args:
        tflite_path: the file.
        data_path: ``Dataset.path`` for the validation split, ``TestSplit.path`` for the held-out one. They
            are two directories; judging on either opens nothing of the other.
        start: the first frame.
        stop: the frame after the last.
        split: what is at ``data_path``; a path to the other kind is an error, never a silent mix-up.

    Raises:
        DatasetError: there is no such split at ``data_path``.
        NonFinitePrediction, ValueError, IndexError: as :func:`judge_file`.
    """
    frames = open_judged_split(data_path, split)
    runner = TFLiteRunner(tflite_path, threads=1)
    judged = judge_frames(runner, frames, range(start, stop))
    return JudgedChunk(judged, len(frames), runner.version, split)


def open_judged_split(data_path: Path, split: JudgedSplit) -> Split:
    """The prepared split of this kind at ``data_path``; reads no pixels.

    Raises:
        DatasetError: there is none.
        ValueError: no such kind is judged.
    """
    match split:
        case "validation":
            return load_dataset(data_path).validation
        case "test":
            return load_test_split(data_path)
        case _:
            raise ValueError(f"split {split!r} is not judged; allowed: validation, test")


def combine(chunks: Iterable[JudgedChunk]) -> Judgement:
    """Join the chunks of one file, given in any order.

    Raises:
        ValueError: there is no chunk, frames are missing or judged twice, or interpreters or splits differ.
        NothingToScore: no frame has a score.
    """
    parts = tuple(chunks)
    if not parts:
        raise ValueError("no chunks to combine; judge at least one")
    versions = {part.interpreter_version for part in parts}
    if len(versions) > 1:
        raise ValueError(f"chunks of one file were judged by different interpreters: {sorted(versions)}")
    splits = {part.split for part in parts}
    if len(splits) > 1:
        raise ValueError(f"chunks of one file were judged on different splits: {sorted(splits)}")
    per_frame = tuple(sorted((frame for part in parts for frame in part.frames), key=lambda f: f.index))
    indices = [frame.index for frame in per_frame]
    expected = list(range(parts[0].split_frames))
    if indices != expected:
        raise ValueError(f"chunks must hold each of {len(expected)} frames once; they hold {indices}")
    return Judgement(
        metrics=mean_metrics(frame.metrics for frame in per_frame),
        per_frame=per_frame,
        frames=sum(frame.metrics is not None for frame in per_frame),
        interpreter_version=versions.pop(),
        split=splits.pop(),
    )


def chunk_ranges(frames: int, chunks: int) -> tuple[tuple[int, int], ...]:
    """Cut ``frames`` into at most ``chunks`` non-empty runs (start, stop) of nearly equal length."""
    bounds = np.linspace(0, frames, num=min(chunks, frames) + 1).astype(int).tolist()
    return tuple(itertools.pairwise(bounds))
