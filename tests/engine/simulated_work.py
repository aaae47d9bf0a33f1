"""What a sweep's processes do outside the driver, as formulas: training, exporting, judging and measuring.

Every figure follows from what is worked on alone, so any two runs of the same sweep must tell the same story.
Files are real: an export reads the checkpoint that the trainer wrote, so a checkpoint that is missing, torn or of
another epoch breaks the story.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from device_farm.types import InfeasibleModel, Measurement, MeasurementSettings
from sweep.engine.attempt_spec import TEACHER, AttemptSpec
from sweep.engine.exports import ExportedFile
from sweep.engine.files import Checkpoints
from sweep.engine.teaching import wants_teacher
from sweep.judging.judge import FrameMetrics, JudgedChunk
from sweep.judging.metrics import DepthMetrics
from sweep.lifecycle import SweepState, Teacher
from sweep.space import InferenceSetting
from sweep.space.candidate import Candidate

DEVICES = ("pi-1", "pi-2")
SHRINKS: Mapping[str, int] = {"fp32": 1, "fp16": 2, "int8": 4}
WORSE: Mapping[str, float] = {"fp32": 0.0, "fp16": 0.0, "int8": 0.01}
"""What a variant adds to the si-RMSE."""


def share(*parts: object) -> float:
    """A number from 0 to 1 that ``parts`` decide, as good as drawn at random."""
    return int(sha256(repr(parts).encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


def latency_of(architecture: str, variant: str = "fp32", at: InferenceSetting | None = None) -> float:
    """1 to 11 ms; int8 is faster with some architectures and slower with others, and so are more threads."""
    latency_ms = 1.0 + 10.0 * share("latency", architecture)
    if variant != "fp32":
        latency_ms *= 0.5 + share("variant", architecture, variant)
    if at is not None and at.threads != 1:
        latency_ms *= 0.5 + share("threads", architecture, at.threads)
    return latency_ms


def si_rmse_of(candidate: str, epoch: int, seed: int = 0) -> float:
    """0.2 to 0.3 and something that training wears off; the seed matters a little."""
    return 0.2 + 0.1 * share("error", candidate) + 0.01 * share("seed", candidate, seed) + 0.3 / epoch


@dataclass(frozen=True)
class Mishaps:
    """What goes wrong with some candidates; all of it off by default.

    An attempt is lost or crashes at most once for each trial, whoever runs it, unless ``always``.
    """

    infeasible: float = 0.0
    lost: float = 0.0
    crashes: float = 0.0
    diverges: float = 0.0
    always: bool = False


class FakeTasks:
    """Exports to small JSON files, and judges by what they say."""

    def __init__(self, variants: Sequence[str] = ("fp32",), refused_variants: Sequence[str] = ()) -> None:
        self.variants = variants
        self.refused_variants = refused_variants
        self.exports: list[tuple[str, str]] = []
        """Architecture and kind of each export."""

    def export(
        self, candidate: Mapping[str, Any], directory: Path, checkpoint: Path | None
    ) -> list[ExportedFile]:
        facts = hashes_of(candidate)
        if checkpoint is not None:
            state = json.loads(checkpoint.read_text())
            assert state["candidate"] == facts["candidate"], "a checkpoint of another candidate"
            facts |= state
        self.exports.append((facts["architecture"], "trained" if checkpoint else "untrained"))
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(directory / "model.onnx", facts)
        return [self._export_variant(variant, facts, directory) for variant in self.variants]

    def _export_variant(self, variant: str, facts: Mapping[str, Any], directory: Path) -> ExportedFile:
        if variant in self.refused_variants:
            return ExportedFile(variant, "nearest", {}, f"{variant} cannot be written")
        tflite = directory / ("model.tflite" if variant == "fp32" else f"model_{variant}.tflite")
        write_whole(tflite, {**facts, "variant": variant})
        size = 1_000_000 + int(3e6 * share("size", facts["architecture"]))
        paths = {"tflite": str(tflite), "onnx": str(directory / "model.onnx")}
        return ExportedFile(variant, "nearest", {**paths, "size_bytes": size // SHRINKS[variant]})

    def judge(self, tflite: Path, split: Literal["validation", "test"]) -> list[JudgedChunk]:
        model = json.loads(tflite.read_text())
        error = si_rmse_of(model["candidate"], model["epoch"], model["seed"]) + (
            0.02 if split == "test" else 0
        )
        error += WORSE[model["variant"]]
        frames = (FrameMetrics(0, "frame", DepthMetrics(error, 1.0, 0.1, 0.1)),)
        return [JudgedChunk(frames, 1, "simulated", split)]

    def check_reference(self, tflite: Path) -> dict[str, float]:
        assert tflite.exists()
        return {"reference_max_relative": 0.0, "reference_si_rmse": 0.0}

    def judge_teacher(self, candidate: Mapping[str, Any], checkpoint: Path) -> float:
        state = json.loads(checkpoint.read_text())
        assert state["candidate"] == hashes_of(candidate)["candidate"]
        return si_rmse_of(state["candidate"], state["epoch"])

    def draw_picture(self, tflite: Path, path: Path) -> None:
        assert tflite.exists()
        path.write_bytes(b"picture")


class FakeMeasurer:
    """Two devices of one class. What a fresh measurement finds depends on how many the journal holds already."""

    def __init__(self, state: Callable[[], SweepState], mishaps: Mishaps) -> None:
        self._state = state
        self._mishaps = mishaps
        self.measured: list[tuple[str, MeasurementSettings]] = []
        """Architecture and settings of each measurement."""

    def measure(
        self,
        tflite: Path,
        settings: MeasurementSettings,
        *,
        fresh: bool = False,
        device_id: str | None = None,
        at: InferenceSetting | None = None,
    ) -> Measurement:
        model = json.loads(tflite.read_text())
        architecture = model["architecture"]
        self.measured.append((architecture, settings))
        if share("infeasible", architecture) < self._mishaps.infeasible:
            raise InfeasibleModel("the runtime refuses an operator")
        round_ = sum(len(trial.finals) for trial in self._state().trials.values()) if fresh else 0
        noise = 0.01 * (share("noise", architecture, model["epoch"], round_) - 0.5)
        latency_ms = latency_of(architecture, model["variant"], at) * (1 + noise)
        return measurement(latency_ms, settings.interval_width, device_id, at)


def measurement(
    latency_ms: float,
    relative_width: float = 0.01,
    device_id: str | None = None,
    at: InferenceSetting | None = None,
) -> Measurement:
    """A measurement of a file that nobody has."""
    half = latency_ms * relative_width / 2
    return Measurement(
        latency_ms=latency_ms,
        interval_ms=(latency_ms - half, latency_ms + half),
        stable=True,
        effective_samples=6.0,
        stopped_by="interval",
        samples_ms=(latency_ms,) * 6,
        warmup_ms=(),
        cpu_ms=(),
        model_sha256="0" * 64,
        device_id=device_id or DEVICES[int(latency_ms * 1000) % 2],
        device_name="simulated",
        device_class="simulated",
        emulated=True,
        profile="generic",
        runtime="simulated-1",
        runtime_version="1",
        threads=at.threads if at else 1,
        delegate=at.delegate if at else "none",
        measured_at=0.0,
        evidence={},
    )


def train(
    spec: AttemptSpec, state: Callable[[], SweepState], mishaps: Mishaps, *, hears_stops: bool
) -> Iterator[dict[str, Any] | None]:
    """The results of an attempt, as a trainer process gives them; None: it dies without a word."""
    name = hashes_of(spec.candidate)["candidate"]
    checkpoints = Checkpoints(Path(spec.checkpoint_directory))
    epoch = _restored(spec, name)
    _check_teacher(spec)
    while epoch < spec.to_epoch:
        if hears_stops and Path(spec.stop_flag).exists():
            yield {"failure": "stopped", "reason": "", "done": True}
            return
        if failure := _mishap(name, epoch, state(), spec.trial, mishaps):
            yield None if failure == "lost" else {"failure": failure, "reason": failure, "done": True}
            return
        epoch += 1
        write_whole(checkpoints.of(epoch), {"candidate": name, "epoch": epoch, "seed": spec.seed})
        yield {
            "epoch": epoch,
            "train_loss": float("nan") if _diverges(name, epoch, mishaps) else 1.0 / epoch,
            "si_rmse": si_rmse_of(name, epoch, spec.seed),
            "learning_rate": 0.01,
            "seconds": 1.0,
            "checkpoint": str(checkpoints.of(epoch)),
            "done": epoch == spec.to_epoch,
        }


def _restored(spec: AttemptSpec, name: str) -> int:
    if spec.checkpoint is None:
        return 0
    state = json.loads(Path(spec.checkpoint).read_text())
    assert (state["candidate"], state["seed"]) == (name, spec.seed), "a checkpoint of another training"
    return int(state["epoch"])


def _check_teacher(spec: AttemptSpec) -> None:
    """Who wants a teacher has one, and that is a trained one; nobody else has."""
    assert (spec.teacher is not None) == wants_teacher(spec.candidate)
    if spec.teacher is not None:
        state = json.loads(Path(spec.teacher.checkpoint).read_text())
        assert state["candidate"] == hashes_of(spec.teacher.candidate)["candidate"]
        assert state["epoch"] >= 3


def _mishap(name: str, epoch: int, state: SweepState, number: int, mishaps: Mishaps) -> str | None:
    trial = (state.teacher or Teacher()) if number == TEACHER else state.trials[number]
    if epoch == 1 and share("lost", name) < mishaps.lost and (mishaps.always or not trial.losses):
        return "lost"
    if epoch == 1 and share("crash", name) < mishaps.crashes and (mishaps.always or not trial.crashes):
        return "crashed"
    return None


def _diverges(name: str, epoch: int, mishaps: Mishaps) -> bool:
    return epoch == 2 and share("divergence", name) < mishaps.diverges


def hashes_of(candidate: Mapping[str, Any]) -> dict[str, Any]:
    """What a network of ``candidate`` is: its hashes, untrained."""
    return dict(_hashes(json.dumps(candidate, sort_keys=True)))


@cache
def _hashes(text: str) -> tuple[tuple[str, Any], ...]:
    found = Candidate.model_validate_json(text)
    return (("candidate", found.hash), ("architecture", found.architecture_hash), ("epoch", 0), ("seed", 0))


def write_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Write to a draft first, and give it its name when it is whole, as the real trainer and exporter do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text(json.dumps(content))
    draft.replace(path)
