"""What people read in the terminal, or in a file."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from device_farm.jobs import Registration
from device_farm.types import Device, EvidenceValue, Measurement, Runtime

FILE_WIDTH = 200  # columns when the output is no terminal, which has no width of its own


def registered(registration: Registration, farm: str) -> str:
    """One line for the worker's log."""
    offers = ", ".join(_runtime(runtime) for runtime in registration.runtimes)
    return f"{registration.name} ({registration.device_class}) registered with {farm}; offers {offers}"


def print_devices(devices: tuple[Device, ...], farm: str) -> None:
    """A table of the fleet."""
    console = _console()
    if not devices:
        console.print(f"No device is registered with {farm}.")
        console.print(f"Start a worker on one: device-farm worker --farm {farm}")
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("NAME", "STATE", "CLASS", "CORES", "RUNTIMES", "LABELS"):
        table.add_column(column, overflow="fold")
    for device in devices:
        table.add_row(
            device.name,
            device.state,
            device.device_class + (" (emulated)" if device.emulated else ""),
            device.facts.get("cores", "unknown"),
            "\n".join(_runtime(runtime) for runtime in device.runtimes),
            "\n".join(f"{key}={value}" for key, value in sorted(device.labels.items())),
        )
    console.print(table)


def print_measurement(measurement: Measurement, model: Path) -> None:
    """The latency first, then what it is worth."""
    low, high = measurement.interval_ms
    evidence = measurement.evidence
    threads = f"{measurement.threads} thread" + ("s" if measurement.threads > 1 else "")
    emulated = ", EMULATED: not a latency of real hardware" if measurement.emulated else ""
    rows = [
        ("model", f"{model} (sha256 {measurement.model_sha256[:12]})"),
        ("latency", f"{_ms(measurement.latency_ms)} (median of {len(measurement.samples_ms)} invocations)"),
        ("interval", f"{_ms(low)} to {_ms(high)} (95 % confidence)"),
        ("device", f"{measurement.device_name} ({measurement.device_class}{emulated})"),
        ("runtime", f"{measurement.runtime}, {threads}, delegate {measurement.delegate}"),
        ("CPU / wall", _known(evidence.get("cpu_wall_ratio"))),
        ("peak memory", _known(evidence.get("peak_memory_mb"), "MB")),
        ("governor", _known(evidence.get("governor"))),
        ("frequency", _before_after(evidence, "frequency_mhz", "MHz")),
        ("temperature", _before_after(evidence, "temperature_c", "°C")),
        ("throttled", _known(evidence.get("throttled"))),
        ("load average", _before_after(evidence, "load_average", "")),
    ]
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    _console().print(table)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Shows on stderr what a job waits for: a spinner on a terminal, nothing in a file."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _text: None
        return
    with console.status("sending the model") as status:
        yield status.update


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else FILE_WIDTH, highlight=False, markup=False)


def _runtime(runtime: Runtime) -> str:
    return f"{runtime.name} ({', '.join(runtime.delegates)})"


def _ms(value: float) -> str:
    """Four significant digits, whatever the size."""
    return f"{value:.4g} ms"


def _known(value: EvidenceValue, unit: str = "") -> str:
    if value is None:
        return "unknown"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".rstrip()


def _before_after(evidence: Mapping[str, EvidenceValue], key: str, unit: str) -> str:
    before, after = evidence.get(f"{key}_before"), evidence.get(f"{key}_after")
    if before is None and after is None:
        return "unknown"
    return f"{_known(before)} before, {_known(after)} after {unit}".rstrip()
