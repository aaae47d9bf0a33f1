"""The evidence of a measurement in readable rows. What could not be read is ``unknown``, never left out."""

from collections.abc import Mapping

from device_farm.cli.wording import count, known
from device_farm.types import EvidenceValue
from device_farm.worker.firmware import FLAGS, flags_since_start

Evidence = Mapping[str, EvidenceValue]

# Keys that a row of its own tells of, or that the measurement itself says.
_TOLD = {
    *("cores", "delegate", "delegate_partitions", "governor", "load_ms", "other_cpu_cores", "output_sha256"),
    *("frequency_limit_mhz", "frequency_min_mhz", "frequency_nominal_mhz", "frequency_trace_mhz"),
    *("load_average_after", "load_average_before", "reference_after_ms", "reference_before_ms"),
    *("peak_memory_mb", "runner_python", "runner_start_ms", "runtime_package", "runtime_version"),
    *(
        "steal_share",
        "temperature_c_after",
        "temperature_c_before",
        "temperature_c_max",
        "threads",
        "throttled",
    ),
    *(f"{flag}_{when}" for flag in FLAGS for when in ("now", "during")),
}


def evidence_rows(evidence: Evidence) -> list[tuple[str, str]]:
    """What is known of the device during the measurement; keys that have no words yet come last, as they are."""
    return [
        ("delegate", _delegate(evidence)),
        ("clock", _clock(evidence)),
        ("governor", known(evidence.get("governor"))),
        ("temperature", _temperature(evidence)),
        ("throttling", throttling(evidence)),
        ("other programs", _others(evidence)),
        ("load average", _before_after(evidence, "load_average", "")),
        ("stolen time", _percent(evidence.get("steal_share"))),
        ("peak memory", known(evidence.get("peak_memory_mb"), "MB")),
        ("load time", known(evidence.get("load_ms"), "ms")),
        ("reference model", _before_after(evidence, "reference", "ms", "{}_{}_ms")),
        ("child process", _child(evidence)),
        ("first output", _output(evidence)),
        *(
            (key.replace("_", " "), known(value))
            for key, value in sorted(evidence.items())
            if key not in _TOLD
        ),
    ]


def throttling(evidence: Evidence) -> str:
    """The firmware's flags in words: during the measurement, and earlier since the board was started."""
    word = evidence.get("throttled")
    during = [text for flag, text in FLAGS.items() if evidence.get(f"{flag}_during")]
    if during:
        return f"{', '.join(during)} DURING the measurement" + (f" ({word})" if word else "")
    if word is None:
        return "unknown"
    earlier = ", ".join(flags_since_start(str(word))) or "nothing"
    return f"none during the measurement; {earlier} since the board was started ({word})"


def _clock(evidence: Evidence) -> str:
    trace = evidence.get("frequency_trace_mhz")
    if not isinstance(trace, tuple) or not trace:
        return "unknown"
    low, high = min(trace), max(trace)
    seen = f"{low:.0f} MHz throughout" if low == high else f"{low:.0f} to {high:.0f} MHz"
    limit, nominal = evidence.get("frequency_limit_mhz"), evidence.get("frequency_nominal_mhz")
    return f"{seen} (limit {known(limit)}, hardware {known(nominal)}; {count(len(trace), 'reading')})"


def _temperature(evidence: Evidence) -> str:
    text = _before_after(evidence, "temperature_c", "°C")
    highest = evidence.get("temperature_c_max")
    return text if highest is None else f"{text}, at most {known(highest, '°C')}"


def _others(evidence: Evidence) -> str:
    busy = evidence.get("other_cpu_cores")
    if not isinstance(busy, float):
        return "unknown"
    return f"kept {busy:.2f} of {known(evidence.get('cores'))} cores busy"


def _percent(share: EvidenceValue) -> str:
    return f"{100 * share:.1f} %" if isinstance(share, float) else "unknown"


def _delegate(evidence: Evidence) -> str:
    """Whether it really took over: a graph with unsuitable operators is left to the built-in kernels."""
    parts = evidence.get("delegate_partitions")
    if not isinstance(parts, int):
        return "unknown"
    return f"{known(evidence.get('delegate'))}, has {count(parts, 'part')} of the graph"


def _child(evidence: Evidence) -> str:
    package, python = evidence.get("runtime_package"), evidence.get("runner_python")
    started = known(evidence.get("runner_start_ms"), "ms")
    return f"{known(package)} under Python {known(python)}, ready after {started}" if package else "unknown"


def _output(evidence: Evidence) -> str:
    digest = evidence.get("output_sha256")
    return f"sha256 {digest[:12]}" if isinstance(digest, str) else "unknown"


def _before_after(evidence: Evidence, key: str, unit: str, form: str = "{}_{}") -> str:
    before, after = evidence.get(form.format(key, "before")), evidence.get(form.format(key, "after"))
    if before is None and after is None:
        return "unknown"
    return f"{known(before, unit)} before, {known(after, unit)} after"
