"""Durations as people write them: ``90s``, ``10m``, ``2h``, ``1h30m``."""

import re

#: Whole hours, minutes and seconds, in this order, each at most once, at least one of them.
PATTERN = r"^(?=[0-9])([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"
ALLOWED = "a duration above zero such as 90s, 10m, 2h or 1h30m"

_SECONDS = (3600, 60, 1)


def parse_duration(text: str) -> int:
    """Read a duration; return whole seconds, at least 1.

    Raises:
        ValueError: ``text`` is not such a duration, or it is zero; the message names what is allowed.
    """
    match = re.fullmatch(PATTERN, text.strip(), flags=re.ASCII)
    parts = match.groups(default="0_") if match else ()
    seconds = sum(int(part[:-1]) * unit for part, unit in zip(parts, _SECONDS, strict=False))
    if seconds == 0:
        raise ValueError(f"found {text!r}; allowed: {ALLOWED}")
    return seconds


def format_duration(seconds: int) -> str:
    """The shortest spelling that `parse_duration` reads back: 5400 -> ``1h30m``.

    Raises:
        ValueError: ``seconds`` is below 1.
    """
    if seconds < 1:
        raise ValueError(f"found {seconds} seconds; allowed: at least 1")
    hours, rest = divmod(seconds, 3600)
    amounts = zip((hours, *divmod(rest, 60)), "hms", strict=True)
    return "".join(f"{amount}{unit}" for amount, unit in amounts if amount)
