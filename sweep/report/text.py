"""Numbers and durations as people read them; plain ASCII, so that any log file can hold them."""


def number(value: float | None, decimals: int) -> str:
    """``value`` with that many decimals; a dash for None."""
    return "-" if value is None else f"{value:.{decimals}f}"


def latency(value_ms: float | None) -> str:
    """Milliseconds with about four significant digits; a dash for None."""
    if value_ms is None:
        return "-"
    return f"{value_ms:.{2 if value_ms < 100 else 1}f}"


def interval(bounds: tuple[float, float] | None) -> str:
    """A confidence interval, such as ``12.10-12.95``; a dash for None."""
    return "-" if bounds is None else f"{latency(bounds[0])}-{latency(bounds[1])}"


def score(value: float | None, partial: bool = False) -> str:
    """A Final Score, marked with ``~`` if it is partial; a dash for None."""
    if value is None:
        return "-"
    text = f"{value:.1f}" if value >= 0.1 else f"{value:.2g}"
    return f"~{text}" if partial else text


def duration(seconds: float) -> str:
    """``m:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def spoken_duration(seconds: float) -> str:
    """Such as ``45 s``, ``10 min`` or ``1 h 30 min``; seconds are dropped from two minutes on."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(int(seconds) // 60, 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    return " ".join(part for part in parts if part)


def one_line(text: str) -> str:
    """``text`` without line breaks and control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def count(amount: int, noun: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{amount} {noun}" + ("" if amount == 1 else "s")
