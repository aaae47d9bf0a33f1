"""What a worker finds out about the machine that it runs on, once. What cannot be read is left out.

What changes while it measures is read by ``device_farm.worker.surroundings``.
"""

import os
import platform
import re
import shutil
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

SYSTEM_ROOT = Path("/")
MIB = 1024 * 1024
_PI_MODEL = re.compile(
    r"Raspberry Pi (?:(?P<number>\d+) Model (?P<letter>[AB])|(?P<rest>.+?))(?P<plus> Plus)?$"
)
# The "CPU part" numbers of ARM's cores (its Technical Reference Manuals, register MIDR) in common boards.
_ARM_CORES = {
    "0xb76": "ARM1176",
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0d": "Cortex-A77",
    "0xd41": "Cortex-A78",
}


def find_facts(root: Path = SYSTEM_ROOT) -> dict[str, str]:
    """The machine's facts, read below ``root``, as text under these keys.

    * ``hostname``, ``os``, ``kernel``, ``arch`` (of the kernel), ``userland_bits`` (of this Python), ``python``
    * ``board``, ``board_revision`` (the Raspberry Pi's revision code, hexadecimal), ``soc``, ``cpu``
    * ``cores`` (those that may be used), ``cpu_max_mhz``, ``governor``
    * ``memory_mb``, ``disk_mb``, ``disk_free_mb`` (of the root file system)
    """
    cpuinfo = _cpuinfo(root)
    found = {
        "hostname": socket.gethostname(),
        "os": _os_name(root),
        "kernel": platform.release(),
        "arch": platform.machine(),
        "userland_bits": str(8 * struct.calcsize("P")),
        "python": platform.python_version(),
        "board": _device_tree(root, "model"),
        "board_revision": _board_revision(root, cpuinfo),
        "soc": _soc(root),
        "cpu": _cpu_name(cpuinfo),
        "cores": str(len(os.sched_getaffinity(0))),
        "cpu_max_mhz": _megahertz(root / "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"),
        "governor": _read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory_mb": _memory_mb(root),
        **_disk(root),
    }
    return {key: value for key, value in found.items() if value}


def device_class_of(facts: Mapping[str, str]) -> str:
    """The kind of device whose latencies may be compared, such as ``raspberrypi-4b``.

    A board is named by its model without the revision; any other machine by its architecture and CPU.
    """
    board = facts.get("board")
    if board is not None:
        return _board_slug(board)
    return f"{facts.get('arch', 'unknown architecture')} {facts.get('cpu', 'unknown CPU')}"


def automatic_labels(facts: Mapping[str, str]) -> dict[str, str]:
    """Labels that every device carries without its owner's doing."""
    labels = {key: facts[key] for key in ("arch", "soc", "hostname") if key in facts}
    if "board" in facts:
        labels["board"] = _board_slug(facts["board"])
    return labels


def _board_slug(board: str) -> str:
    """``Raspberry Pi 4 Model B Rev 1.4`` -> ``raspberrypi-4b``; other boards: their name in lower case."""
    name = re.sub(r"\s+Rev\s+\S+$", "", board)
    match = _PI_MODEL.match(name)
    if match is None:
        return _slug(name)
    if match["number"]:
        return f"raspberrypi-{match['number']}{match['letter'].lower()}{'plus' if match['plus'] else ''}"
    return f"raspberrypi-{_slug(match['rest']).replace('compute-module-', 'cm')}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _device_tree(root: Path, name: str) -> str | None:
    text = _read(root / "proc/device-tree" / name)
    return text.rstrip("\0") if text is not None else None


def _soc(root: Path) -> str | None:
    """The last compatible entry, without its maker: ``brcm,bcm2711`` -> ``bcm2711``."""
    compatible = _device_tree(root, "compatible")
    return compatible.split("\0")[-1].rpartition(",")[2] if compatible else None


def _board_revision(root: Path, cpuinfo: Mapping[str, str]) -> str | None:
    """Such as ``c03114``: four bytes in the device tree, the highest first; older kernels write it as text."""
    try:
        data = (root / "proc/device-tree/system/linux,revision").read_bytes()
    except OSError:
        return cpuinfo.get("Revision")
    return f"{int.from_bytes(data, 'big'):x}"


def _cpuinfo(root: Path) -> dict[str, str]:
    """The entries of /proc/cpuinfo; of those that each CPU has, the last one's."""
    text = _read(root / "proc/cpuinfo") or ""
    return dict(re.findall(r"^([^\t\n:]+?)[ \t]*:[ \t]*(.+)$", text, re.MULTILINE))


def _cpu_name(cpuinfo: Mapping[str, str]) -> str | None:
    """ARM kernels tell the core's number; their "Hardware" is the same for Raspberry Pis 1 to 4."""
    core = _ARM_CORES.get(cpuinfo.get("CPU part", ""))
    return core or cpuinfo.get("model name") or cpuinfo.get("Hardware") or cpuinfo.get("Model")


def _megahertz(path: Path) -> str | None:
    text = _read(path)
    return str(int(text) // 1000) if text and text.isdigit() else None


def _disk(root: Path) -> dict[str, str]:
    usage = shutil.disk_usage(root)
    return {"disk_mb": str(usage.total // MIB), "disk_free_mb": str(usage.free // MIB)}


def _memory_mb(root: Path) -> str | None:
    match = re.search(r"^MemTotal:\s+(\d+) kB", _read(root / "proc/meminfo") or "", re.MULTILINE)
    return str(int(match[1]) // 1024) if match else None


def _os_name(root: Path) -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)', _read(root / "etc/os-release") or "", re.MULTILINE)
    return match[1] if match else platform.system()


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
