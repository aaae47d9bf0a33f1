"""Constraints: upper bounds on what is known of a candidate before it is trained."""

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

Metric = Literal["latency_ms", "size_mb"]
METRICS: tuple[Metric, ...] = get_args(Metric)
ALLOWED = f"METRIC <= NUMBER with METRIC one of {', '.join(METRICS)}, such as latency_ms <= 50"

_PATTERN = re.compile(rf"\s*({'|'.join(METRICS)})\s*<=\s*(\S+)\s*")


@dataclass(frozen=True)
class Constraint:
    """``metric`` must not exceed ``limit``; milliseconds of one frame, or 10^6 bytes of the TFLite file."""

    metric: Metric
    limit: float

    def violation(self, value: float) -> float:
        """By how much ``value`` exceeds the limit; 0 or less: it is kept."""
        return value - self.limit

    def __str__(self) -> str:
        return f"{self.metric} <= {self.limit:g}"


def parse_constraint(text: str) -> Constraint:
    """The constraint that ``latency_ms <= 50``, say, spells.

    Raises:
        ValueError: the text is none.
    """
    match = _PATTERN.fullmatch(text)
    try:
        limit = float(match[2]) if match else math.nan
    except ValueError:
        limit = math.nan
    if match is None or not (math.isfinite(limit) and limit > 0):
        raise ValueError(ALLOWED)
    metric = next(name for name in METRICS if name == match[1])
    return Constraint(metric, limit)


def _parsed(value: Any) -> Constraint:
    if not isinstance(value, str):
        raise ValueError(ALLOWED)
    return parse_constraint(value)


ConstraintText = Annotated[
    Constraint,
    BeforeValidator(_parsed),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["latency_ms <= 50", "size_mb <= 3"]}),
]
