"""An exported TFLite file, held against validation frames.

Figures always come from the exported file, never from the network it was made of. Frames are independent, so
the work splits into chunks: ``judge_chunk`` scores one (open files are memory-mapped and shared between
processes on a host) and ``combine`` joins the parts, in any order, into the same judgement.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sweep.data import Split, load_dataset
from sweep.export.interpreter import TFLiteRunner
from sweep.judging.metrics import DepthMetrics, depth_metrics, mean_metrics


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
    """

    frames: tuple[FrameMetrics, ...]
    split_frames: int
    interpreter_version: str


@dataclass(frozen=True)
class Judgement:
    """A file's figures over a whole split.

    Attributes:
        metrics: mean over the frames that have a score.
        per_frame: every frame, in the split's order.
        frames: number of frames that have a score.
        interpreter_version: the interpreter that ran the file.
    """

    metrics: DepthMetrics
    per_frame: tuple[FrameMetrics, ...]
    frames: int
    interpreter_version: str


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


def judge_chunk(tflite_path: Path, dataset_path: Path, start: int, stop: int) -> JudgedChunk:
    """Judge the validation frames ``start`` to ``stop`` (exclusive) of a prepared data set, on one thread.

    Only paths and numbers go in, so that this runs as a task in another process.

    Raises:
        As :func:`judge_file`.
    """
    runner = TFLiteRunner(tflite_path, threads=1)
    validation = load_dataset(dataset_path).validation
    frames = judge_frames(runner, validation, range(start, stop))
    return JudgedChunk(frames, len(validation.names), runner.version)


def combine(chunks: Iterable[JudgedChunk]) -> Judgement:
    """Join the chunks of one file, given in any order.

    Raises:
        ValueError: there is no chunk, frames are missing or judged twice, or interpreters differ.
        NothingToScore: no frame has a score.
    """
    parts = tuple(chunks)
    if not parts:
        raise ValueError("no chunks to combine; judge at least one")
    versions = {part.interpreter_version for part in parts}
    if len(versions) > 1:
        raise ValueError(f"chunks of one file were judged by different interpreters: {sorted(versions)}")
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
    )


def chunk_ranges(frames: int, chunks: int) -> tuple[tuple[int, int], ...]:
    """Cut ``frames`` into at most ``chunks`` non-empty runs (start, stop) of nearly equal length."""
    bounds = np.linspace(0, frames, num=min(chunks, frames) + 1).astype(int).tolist()
    return tuple(itertools.pairwise(bounds))
