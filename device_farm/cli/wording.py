"""Numbers, times and targets in the words that people read."""

import math
from collections.abc import Mapping
from datetime import datetime

from device_farm.types import EvidenceValue, Runtime

ID_CHARACTERS = (
    8  # of a device's or job's id, enough to tell a farm's apart; any unique beginning is accepted
)


def short_id(identifier: str) -> str:
    return identifier[:ID_CHARACTERS]


def count(number: int, noun: str) -> str:
    """``1 core``, ``4 cores``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def latency(latency_ms: float, interval_ms: tuple[float, float] | None) -> str:
    """``50.4 ms (50.2 to 50.6, 95 %)``: as many digits as the interval is worth; without one, four."""
    if interval_ms is None:
        return milliseconds(latency_ms)
    low, high = interval_ms
    places = _decimals(latency_ms, high - low)
    return f"{latency_ms:.{places}f} ms ({low:.{places}f} to {high:.{places}f}, 95 %)"


def milliseconds(value: float) -> str:
    """Four significant digits, whatever the size, without an exponent."""
    return f"{value:.{_decimals(value, 0.0)}f} ms"


def _decimals(value: float, width: float) -> int:
    """Decimals that show half of ``width`` with one digit and ``value`` with at least three; four if it is 0."""
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    if width <= 0:
        return max(0, 3 - magnitude)
    return max(0, 2 - magnitude, -math.floor(math.log10(width / 2)))


def moment(seconds: float) -> str:
    """Seconds since the epoch as local date and time."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def age(seconds: float) -> str:
    """How long ago, in the largest unit that gives a whole number: ``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0.0, seconds) // 1:.0f} s"


def known(value: EvidenceValue, unit: str = "") -> str:
    """A piece of evidence; None is ``unknown``."""
    match value:
        case None:
            return "unknown"
        case bool():
            text = "yes" if value else "no"
        case float():
            text = f"{value:.4g}"
        case tuple():
            text = ", ".join(f"{number:.4g}" for number in value)
        case _:
            text = str(value)
    return f"{text} {unit}".rstrip()


def labels(given: Mapping[str, str], separator: str = ", ") -> str:
    return separator.join(f"{key}={value}" for key, value in sorted(given.items()))


def runtime(offered: Runtime) -> str:
    return f"{offered.name} ({', '.join(offered.delegates)})"
