"""What became of each file of a trial at each setting, as the journal holds it.

One training is exported to several files, and each of them is run at several settings; every combination has
one record, in the order asked. Trials of sweeps that ask for a single file at a single setting have none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

from sweep.lifecycle.events import Json

METRICS: Final = ("si_rmse", "rmse", "log10", "rel")


@dataclass(frozen=True)
class ExportRecord:
    """One file at one setting.

    Attributes:
        variant: the file's arithmetic; see `sweep.export.variants`.
        output_upsampling: the file's last resize, ``nearest`` or ``bilinear``.
        threads: of the interpreter.
        delegate: ``xnnpack`` or ``none``.
        won: whether the trial's own figures are those of this combination.
        reason: why it is out of the question; empty: it is not.
        tflite: the file, relative to the sweep's directory; None: there is none.
        size_bytes: the file's.
        si_rmse, rmse, log10, rel: of the file on the validation split; None: not judged.
        latency_ms: median; None: not measured.
        interval_ms: 95 % confidence interval of the latency; None also if it drifted.
        final_score: of these figures; None before training, or where one of them is not known.
    """

    variant: str
    output_upsampling: str
    threads: int
    delegate: Literal["none", "xnnpack"]
    won: bool = False
    reason: str = ""
    tflite: str | None = None
    size_bytes: int | None = None
    si_rmse: float | None = None
    rmse: float | None = None
    log10: float | None = None
    rel: float | None = None
    latency_ms: float | None = None
    interval_ms: tuple[float, float] | None = None
    final_score: float | None = None

    @property
    def file(self) -> tuple[str, str]:
        """What tells the record's file from the trial's others."""
        return self.variant, self.output_upsampling

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics that are known, by name."""
        known = {name: getattr(self, name) for name in METRICS}
        return {name: value for name, value in known.items() if value is not None}

    def to_json(self) -> dict[str, Json]:
        """The fields as plain data."""
        interval = self.interval_ms
        return {**asdict(self), "interval_ms": None if interval is None else list(interval)}


def records_of(exports: Iterable[Mapping[str, Json]]) -> tuple[ExportRecord, ...]:
    """The records in an event's ``exports``; none where a single file was run at a single setting."""
    return tuple(map(_from_json, exports))


def winner_of(records: Sequence[ExportRecord]) -> ExportRecord | None:
    """The combination whose figures are the trial's own."""
    return next((record for record in records if record.won), None)


def labels(records: Sequence[ExportRecord]) -> tuple[str, ...]:
    """A short name for each record: what tells the records apart, such as ``int8``, or ``int8 4t xnnpack``."""
    varying = [
        name
        for name in ("variant", "threads", "delegate", "output_upsampling")
        if len({getattr(record, name) for record in records}) > 1
    ]
    shown = varying or ["variant"]
    return tuple(" ".join(_part(name, getattr(record, name)) for name in shown) for record in records)


def _part(name: str, value: Any) -> str:
    match name:
        case "threads":
            return f"{value}t"
        case "delegate":
            return "no-delegate" if value == "none" else str(value)
        case _:
            return str(value)


def _from_json(record: Mapping[str, Json]) -> ExportRecord:
    """The record; keys that this version does not know are left out."""
    known = {field.name for field in fields(ExportRecord)}
    found = {key: value for key, value in record.items() if key in known}
    interval = found.get("interval_ms")
    return ExportRecord(**{**found, "interval_ms": tuple(interval) if interval else None})
