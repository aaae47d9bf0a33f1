"""What a machine does while it measures: clock, temperature, throttling, and who else used its CPUs.

A worker takes one snapshot before a measurement, quick ones between its blocks of samples, and one after it;
``summarise`` turns them into evidence. Nothing here needs a privilege, and what cannot be read is None:
unknown, which is never the same as bad.
"""

import functools
import operator
import os
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from device_farm.types import EvidenceValue
from device_farm.worker.facts import SYSTEM_ROOT
from device_farm.worker.firmware import FLAGS

T = TypeVar("T", int, float)

# The kernel counts CPU time in ticks of 10 ms; over a shorter span they say little about who used the CPUs.
SHORTEST_SPAN_SECONDS = 0.25

_FIRMWARE_BITS = Path("sys/devices/platform/soc/soc:firmware/get_throttled")
_VCGENCMD = (Path("usr/bin/vcgencmd"), Path("opt/vc/bin/vcgencmd"))
_VCGENCMD_TIMEOUT_S = 5.0
# Thermal zones that tell the CPU's temperature, as boards and PCs name them.
_CPU_ZONES = ("cpu", "soc", "pkg", "core")
# Bits 0 to 3 of the firmware's word say what holds now, bits 16 to 19 the same of earlier.
_OCCURRED_SHIFT = 16
_NOW_MASK = 0xF
# Columns of /proc/stat: user nice system idle iowait irq softirq steal (proc(5)); guests are part of user.
_BUSY_COLUMNS = (0, 1, 2, 5, 6, 7)
_STEAL_COLUMN = 7


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The machine at one moment; CPU times count from an unknown origin, so that only differences tell.

    Frequencies are the lowest over the CPUs that may be used. ``scaling_cur_freq`` is what the kernel asked
    for; a Raspberry Pi's firmware can clock lower, which ``throttled`` tells.
    """

    at_seconds: float  # monotonic
    cores: int  # CPUs that the measurement may use
    frequency_mhz: float | None
    frequency_limit_mhz: float | None  # scaling_max_freq: what the kernel may ask for at most
    frequency_nominal_mhz: float | None  # cpuinfo_max_freq: what the hardware can do
    governor: str | None
    temperature_c: float | None  # the hottest of the CPU's thermal zones
    throttled: int | None  # the Raspberry Pi firmware's bits
    under_voltage_alarm: bool | None  # the kernel's sensor: under-voltage within its last 2 s
    load_average: float | None  # over 1 minute
    busy_seconds: float | None  # of all processes on these CPUs, with interrupts and stolen time
    steal_seconds: float | None  # wanted here, given to others by the hypervisor
    own_seconds: float | None  # of the process that takes the snapshots
    child_seconds: float | None  # of the process that measures; 0 where none was named


class Surroundings:
    """Reads snapshots of one machine, below ``root``, for the given CPUs (default: those allowed here).

    A child inherits the CPUs of the worker that starts it, so that CPUs kept apart from both do not count as
    a disturbance.
    """

    def __init__(self, root: Path = SYSTEM_ROOT, cpus: Collection[int] | None = None) -> None:
        self._root = root
        self._cpus = frozenset(os.sched_getaffinity(0) if cpus is None else cpus)
        self._clocks = _clock_folders(root, self._cpus)
        self._zones = _cpu_zones(root)
        self._alarm = _under_voltage_alarm(root)
        self._vcgencmd = next((root / path for path in _VCGENCMD if (root / path).is_file()), None)
        self._ticks_per_second = os.sysconf("SC_CLK_TCK")

    def snapshot(self, child: int | None = None, *, quick: bool = False) -> Snapshot:
        """The machine now, with the CPU time of process ``child``.

        A ``quick`` one starts no process: without it the firmware is asked through ``vcgencmd``, where there
        is one, which costs some milliseconds; the kernel's own copy of the bits is up to 2 s old.
        """
        busy, steal = self._cpu_seconds()
        return Snapshot(
            at_seconds=time.monotonic(),
            cores=len(self._cpus),
            frequency_mhz=self._frequency("scaling_cur_freq"),
            frequency_limit_mhz=self._frequency("scaling_max_freq"),
            frequency_nominal_mhz=self._frequency("cpuinfo_max_freq"),
            governor=self._governor(),
            temperature_c=self._temperature(),
            throttled=self._throttled(quick),
            under_voltage_alarm=None if self._alarm is None else _boolean(self._alarm),
            load_average=self._load_average(),
            busy_seconds=busy,
            steal_seconds=steal,
            own_seconds=self._process_seconds("self"),
            child_seconds=0.0 if child is None else self._process_seconds(str(child)),
        )

    def _frequency(self, name: str) -> float | None:
        found = _known(_integer(folder / name) for folder in self._clocks)
        return min(found) / 1000 if found else None

    def _governor(self) -> str | None:
        found = {_read(folder / "scaling_governor") for folder in self._clocks} - {None}
        return ", ".join(sorted(map(str, found))) or None

    def _temperature(self) -> float | None:
        found = _known(_integer(zone / "temp") for zone in self._zones)
        return max(found) / 1000 if found else None

    def _throttled(self, quick: bool) -> int | None:
        asked = None if quick or self._vcgencmd is None else _ask_firmware(self._vcgencmd)
        return _integer(self._root / _FIRMWARE_BITS, base=16) if asked is None else asked

    def _load_average(self) -> float | None:
        text = _read(self._root / "proc/loadavg")
        return float(text.split()[0]) if text else None

    def _cpu_seconds(self) -> tuple[float, float] | tuple[None, None]:
        """Busy and stolen seconds of these CPUs."""
        text = _read(self._root / "proc/stat") or ""
        rows = [line.split() for line in text.partition("\nintr")[0].splitlines()]
        names = {f"cpu{number}" for number in self._cpus}
        ticks = [
            list(map(int, row[1:])) for row in rows if row and row[0] in names and len(row) > _STEAL_COLUMN
        ]
        if not ticks:
            return None, None
        busy = sum(row[column] for row in ticks for column in _BUSY_COLUMNS)
        steal = sum(row[_STEAL_COLUMN] for row in ticks)
        return busy / self._ticks_per_second, steal / self._ticks_per_second

    def _process_seconds(self, pid: str) -> float | None:
        """CPU seconds of a process with all its threads, in user and kernel mode."""
        text = _read(self._root / "proc" / pid / "stat")
        if not text:
            return None
        columns = text.rpartition(")")[2].split()  # a program's name may hold spaces and brackets
        return (int(columns[11]) + int(columns[12])) / self._ticks_per_second  # utime, stime


def summarise(snapshots: Sequence[Snapshot]) -> dict[str, EvidenceValue]:
    """Evidence from the snapshots of one measurement, in their order; what no snapshot knew is None.

    ``*_now`` is the firmware's flag in the last snapshot that knew it. ``*_during`` says that it was active in
    any snapshot, or that its "has occurred" bit appeared after the first. ``other_cpu_cores`` is the average
    number of cores busy with anything but the measuring process and its worker; ``steal_share`` the share of
    all CPU time wanted that a hypervisor gave to other guests. Both are None over less than 0.25 s.

    Raises:
        ValueError: there is no snapshot.
    """
    if not snapshots:
        raise ValueError("a summary needs at least one snapshot")
    first, last = snapshots[0], snapshots[-1]
    trace = tuple(_known(entry.frequency_mhz for entry in snapshots))
    return {
        "cores": last.cores,
        "frequency_trace_mhz": trace or None,
        "frequency_min_mhz": min(trace, default=None),
        "frequency_limit_mhz": min(_known(entry.frequency_limit_mhz for entry in snapshots), default=None),
        "frequency_nominal_mhz": max(
            _known(entry.frequency_nominal_mhz for entry in snapshots), default=None
        ),
        "governor": _governors(snapshots),
        "temperature_c_before": first.temperature_c,
        "temperature_c_after": last.temperature_c,
        "temperature_c_max": max(_known(entry.temperature_c for entry in snapshots), default=None),
        **_throttling(snapshots),
        "load_average_before": first.load_average,
        "load_average_after": last.load_average,
        "other_cpu_cores": _other_cpu_cores(first, last),
        "steal_share": _steal_share(first, last),
    }


def _governors(snapshots: Sequence[Snapshot]) -> str | None:
    return ", ".join(sorted({entry.governor for entry in snapshots if entry.governor})) or None


def _throttling(snapshots: Sequence[Snapshot]) -> dict[str, EvidenceValue]:
    """The firmware's word and its flags; the kernel's alarm counts as under-voltage."""
    words = _known(entry.throttled for entry in snapshots)
    now = words[-1] & _NOW_MASK if words else None
    during = _bits_during(words)
    evidence: dict[str, EvidenceValue] = {"throttled": f"0x{words[-1]:x}" if words else None}
    for bit, flag in enumerate(FLAGS):
        evidence[f"{flag}_now"] = None if now is None else bool(now >> bit & 1)
        evidence[f"{flag}_during"] = None if during is None else bool(during >> bit & 1)
    alarms = [entry.under_voltage_alarm for entry in snapshots if entry.under_voltage_alarm is not None]
    if alarms:
        evidence["under_voltage_now"] = bool(evidence["under_voltage_now"]) or alarms[-1]
        evidence["under_voltage_during"] = bool(evidence["under_voltage_during"]) or any(alarms)
    return evidence


def _bits_during(words: Sequence[int]) -> int | None:
    """Flags active in any word, or whose "has occurred" bit is set in a later word but not in the first."""
    if not words:
        return None
    ever = functools.reduce(operator.or_, words)
    return (ever | (ever & ~words[0]) >> _OCCURRED_SHIFT) & _NOW_MASK


def _other_cpu_cores(first: Snapshot, last: Snapshot) -> float | None:
    span = last.at_seconds - first.at_seconds
    busy = _difference(first.busy_seconds, last.busy_seconds)
    own = _difference(first.own_seconds, last.own_seconds)
    child = _difference(first.child_seconds, last.child_seconds)
    if span < SHORTEST_SPAN_SECONDS or busy is None or own is None or child is None:
        return None
    return max(0.0, busy - own - child) / span  # the kernel samples the first and measures the others


def _steal_share(first: Snapshot, last: Snapshot) -> float | None:
    busy = _difference(first.busy_seconds, last.busy_seconds)
    steal = _difference(first.steal_seconds, last.steal_seconds)
    if last.at_seconds - first.at_seconds < SHORTEST_SPAN_SECONDS or not busy or steal is None:
        return None
    return max(0.0, steal) / busy


def _difference(earlier: float | None, later: float | None) -> float | None:
    return None if earlier is None or later is None else later - earlier


def _clock_folders(root: Path, cpus: Iterable[int]) -> tuple[Path, ...]:
    """The frequency policies of these CPUs, each once: CPUs that share a clock link to the same folder."""
    folders = (root / f"sys/devices/system/cpu/cpu{number}/cpufreq" for number in sorted(cpus))
    return tuple(dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir()))


def _cpu_zones(root: Path) -> tuple[Path, ...]:
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    kinds = {zone: (_read(zone / "type") or "").lower() for zone in zones}
    return tuple(zone for zone, kind in kinds.items() if any(name in kind for name in _CPU_ZONES))


def _under_voltage_alarm(root: Path) -> Path | None:
    sensors = sorted((root / "sys/class/hwmon").glob("hwmon*"))
    return next((entry / "in0_lcrit_alarm" for entry in sensors if _read(entry / "name") == "rpi_volt"), None)


def _ask_firmware(vcgencmd: Path) -> int | None:
    """The bits from ``throttled=0x50005``; None where the program may not ask (it needs group video)."""
    command = (str(vcgencmd), "get_throttled")
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_VCGENCMD_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return _parsed(answer.stdout.strip().partition("=")[2], lambda text: int(text, 16))


def _boolean(path: Path) -> bool | None:
    value = _integer(path)
    return None if value is None else value != 0


def _integer(path: Path, base: int = 10) -> int | None:
    text = _read(path)
    return None if text is None else _parsed(text, lambda digits: int(digits, base))


def _parsed(text: str, parse: Callable[[str], int]) -> int | None:
    try:
        return parse(text)
    except ValueError:
        return None


def _known(values: Iterable[T | None]) -> list[T]:
    return [value for value in values if value is not None]


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read().decode(errors="replace").strip("\0 \n\t")
    except OSError:
        return None
