"""A measurement for people: the latency first, then what it is worth, then where the time went."""

from statistics import median

from rich.console import Group, RenderableType
from rich.text import Text

from device_farm.cli.console import key_table, plain_table
from device_farm.cli.evidence_view import evidence_rows
from device_farm.cli.wording import count, latency, moment
from device_farm.measuring.profiles import SHORTEST_JUDGED_MS
from device_farm.types import Measurement, OperatorTime, StopReason

MOST_OPERATORS = 15

UNSTABLE = (
    "The samples drift, so there is no one latency to speak of: the number is their median, without an "
    "interval. Compare it with nothing; measure again when the device is cool and does nothing else."
)
STOPPED_BY: dict[StopReason, str] = {
    "interval": "the interval is as narrow as asked",
    "sampling_seconds": "the budget's time was spent before the interval was as narrow as asked (--budget)",
    "max_invocations": "the budget's invocations were spent before the interval was as narrow as asked (--budget)",
}


def measurement_view(measurement: Measurement, model: str, *, profiled: bool) -> RenderableType:
    """What ``device-farm measure`` prints; ``profiled``: the time per operator was asked for."""
    parts: list[RenderableType] = [_headline(measurement)]
    if measurement.interval_ms is None:
        parts.append(Text(UNSTABLE, style="yellow"))
    if measurement.emulated:
        parts.append(Text("EMULATED device: this is not a latency of real hardware.", style="yellow"))
    parts += [Text(""), key_table([*_rows(measurement, model), *evidence_rows(measurement.evidence)])]
    if profiled:
        parts += [Text(""), operator_view(measurement.operators, measurement.latency_ms)]
    return Group(*parts)


def _headline(measurement: Measurement) -> Text:
    found = Text(latency(measurement.latency_ms, measurement.interval_ms), style="bold")
    if measurement.interval_ms is None:
        found.append("  UNSTABLE", style="bold red")
    if measurement.emulated:
        found.append("  EMULATED", style="bold yellow")
    if measurement.cached:
        found.append(f"  (cached: measured {moment(measurement.measured_at)})", style="not bold")
    return found


def _rows(measurement: Measurement, model: str) -> list[tuple[str, str]]:
    samples = count(len(measurement.samples_ms), "invocation")
    version = "" if measurement.runtime_version in measurement.runtime else f" {measurement.runtime_version}"
    answer = ", the answer to an earlier job; --fresh measures anew" if measurement.cached else ""
    return [
        ("model", f"{model} (sha256 {measurement.model_sha256[:12]})"),
        ("device", f"{measurement.device_name} ({measurement.device_class})"),
        (
            "runtime",
            f"{measurement.runtime}{version}, {count(measurement.threads, 'thread')}, "
            f"delegate {measurement.delegate}",
        ),
        ("measured", moment(measurement.measured_at) + answer),
        (
            "samples",
            f"{samples} after {len(measurement.warmup_ms)} of warm-up, worth "
            f"{measurement.effective_samples:.0f} independent ones",
        ),
        ("stopped", STOPPED_BY[measurement.stopped_by]),
        ("CPU / wall", _cpu_share(measurement)),
        ("rules", f"those of profile {measurement.profile}"),
    ]


def _cpu_share(measurement: Measurement) -> str:
    """By the medians, as the rules of the device profiles judge it."""
    wall_ms = median(measurement.samples_ms)
    if wall_ms < SHORTEST_JUDGED_MS:
        return "too short an invocation to tell"
    return f"{median(measurement.cpu_ms) / wall_ms:.2f} cores busy with an invocation"


def operator_view(operators: tuple[OperatorTime, ...], latency_ms: float) -> RenderableType:
    """The slowest operators first, each one's share of them all, and their sum beside the latency."""
    if not operators:
        return Text("Time per operator: this runtime cannot tell.")
    total = sum(operator.time_ms for operator in operators)
    slowest = sorted(operators, key=lambda operator: (-operator.time_ms, operator.index))
    table = plain_table("OPERATOR", "TIME", "SHARE", "OUTPUT")
    table.columns[1].justify = table.columns[2].justify = "right"

    def add(name: str | Text, time_ms: float, remark: str) -> None:
        share = f"{100 * time_ms / total:.1f} %" if total else ""
        table.add_row(name, f"{time_ms:.3f} ms", share, remark)

    for operator in slowest[:MOST_OPERATORS]:
        add(f"#{operator.index} {operator.name}", operator.time_ms, operator.output.partition(";")[0])
    rest = slowest[MOST_OPERATORS:]
    if rest:
        add(count(len(rest), "other"), sum(operator.time_ms for operator in rest), "")
    beside = f"{100 * total / latency_ms:.0f} % of the latency" if latency_ms else ""
    add(Text(f"all {len(operators)}", style="bold"), total, beside)
    return table
