"""What a worker finds out about the machine that it runs on. What cannot be read is left out."""

import os
import platform
import re
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

SYSTEM_ROOT = Path("/")
_THROTTLED = Path("sys/devices/platform/soc/soc:firmware/get_throttled")
_PI_MODEL = re.compile(
    r"Raspberry Pi (?:(?P<number>\d+) Model (?P<letter>[AB])|(?P<rest>.+?))(?P<plus> Plus)?$"
)


def find_facts(root: Path = SYSTEM_ROOT) -> dict[str, str]:
    """The machine's facts, read below ``root``: board, SoC, CPU, cores, memory, governor, OS, host name."""
    found = {
        "hostname": socket.gethostname(),
        "arch": platform.machine(),
        "kernel": platform.release(),
        "os": _os_name(root),
        "python": platform.python_version(),
        "board": _device_tree(root, "model"),
        "soc": _soc(root),
        "cpu": _cpu_name(root),
        "cores": str(len(os.sched_getaffinity(0))),
        "governor": _read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory_mb": _memory_mb(root),
    }
    return {key: value for key, value in found.items() if value}


def device_class_of(facts: Mapping[str, str]) -> str:
    """The kind of device whose latencies may be compared, such as ``raspberrypi-4b``.

    A board is named by its model without the revision; any other machine by its architecture and CPU.
    """
    board = facts.get("board")
    if board is not None:
        return _board_slug(board)
    return f"{facts['arch']} {facts.get('cpu', 'unknown CPU')}"


def automatic_labels(facts: Mapping[str, str]) -> dict[str, str]:
    """Labels that every device carries without its owner's doing."""
    labels = {key: facts[key] for key in ("arch", "soc", "hostname") if key in facts}
    if "board" in facts:
        labels["board"] = _board_slug(facts["board"])
    return labels


def throttled_bits(root: Path = SYSTEM_ROOT) -> str | None:
    """The Raspberry Pi firmware's throttling and under-voltage bits as hexadecimal, None elsewhere."""
    text = _read(root / _THROTTLED)
    if text is not None:
        return f"0x{int(text, 16):x}"
    try:
        answer = subprocess.run(
            ["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip().partition("=")[2] or None


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


def _cpu_name(root: Path) -> str | None:
    text = _read(root / "proc/cpuinfo") or ""
    entries = dict(re.findall(r"^([^\t\n:]+?)[ \t]*:[ \t]*(.+)$", text, re.MULTILINE))
    return entries.get("model name") or entries.get("Hardware") or entries.get("Model")


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
