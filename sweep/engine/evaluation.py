"""Judging one TFLite file outside a sweep: metrics on the validation set, latency, and their Final Score."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from device_farm.types import Measurement, Target
from sweep.data import Dataset
from sweep.engine.farm import open_farm
from sweep.engine.measurer import FINAL
from sweep.engine.target import resolve_target
from sweep.export import check_contract
from sweep.judging.judge import combine, judge_chunk
from sweep.judging.score import final_score


def evaluate_file(model: Path, dataset: Dataset, target: Target, farm: str | None) -> dict[str, Any]:
    """Figures of ``model`` as plain data.

    Args:
        model: a file that keeps the export contract (see `sweep.export.check_contract`).
        dataset: its validation split is judged.
        target: what the latency is measured on.
        farm: address of a coordinator; None starts one with this machine as its only device.

    Raises:
        ContractError: the file's inputs or outputs are others.
        TargetError, FarmError: no such device, or the file cannot run there.
        NonFinitePrediction: a prediction holds NaN or infinity.
    """
    check_contract(model)
    measurement = _measure(model, target, farm)
    judgement = combine([judge_chunk(model, dataset.path, 0, len(dataset.validation.names))])
    metrics = asdict(judgement.metrics)
    return {
        "model": str(model),
        "model_sha256": measurement.model_sha256,
        "data": dataset.name,
        "frames": judgement.frames,
        **metrics,
        "latency_ms": measurement.latency_ms,
        "interval_ms": None if measurement.interval_ms is None else list(measurement.interval_ms),
        "final_score": final_score(metrics["si_rmse"], measurement.latency_ms),
        "device_class": measurement.device_class,
        "emulated": measurement.emulated,
        "from_farm": farm is not None,
        "runtime": measurement.runtime,
        "threads": measurement.threads,
        "delegate": measurement.delegate,
        "interpreter_version": judgement.interpreter_version,
    }


def _measure(model: Path, target: Target, farm: str | None) -> Measurement:
    with ExitStack() as stack:
        state = Path(stack.enter_context(TemporaryDirectory(prefix="depth-sweep-farm-")))
        client = open_farm(stack, farm, state)
        exact = resolve_target(target, client.devices()).exact
        return client.measure(model, exact, FINAL)
