"""The files by which a Raspberry Pi 4 in good order is known, for the root folder of an emulation."""

from pathlib import Path

CORES = 4
CLOCK_KHZ = {"min": 600_000, "max": 1_500_000}

# Four Cortex-A72 r0p3 (MIDR 0x410fd083): by this TFLite's kernels are chosen.
CORE = """\
processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""
BOARD = """\
Hardware\t: BCM2835
Revision\t: c03114
Serial\t\t: 0000000000000000
Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""


def lay_raspberry_pi_4(root: Path) -> None:
    """Writes the files below ``root``: board, processor, clock, temperature and the firmware's throttling bits."""
    for name, text in {**identity(), **condition()}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def identity() -> dict[str, str]:
    """What the board is: path below the root -> content."""
    cpu_ranges = {f"sys/devices/system/cpu/{name}": "0-3\n" for name in ("possible", "present", "online")}
    return {
        "proc/cpuinfo": "".join(CORE.format(number=number) for number in range(CORES)) + BOARD,
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "proc/device-tree/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0",
        **cpu_ranges,
    }


def condition() -> dict[str, str]:
    """What the board does: all cores at full clock, cool, never throttled."""
    clocks = {
        "scaling_governor": "performance",
        "scaling_cur_freq": CLOCK_KHZ["max"],
        "scaling_min_freq": CLOCK_KHZ["min"],
        "scaling_max_freq": CLOCK_KHZ["max"],
        "cpuinfo_min_freq": CLOCK_KHZ["min"],
        "cpuinfo_max_freq": CLOCK_KHZ["max"],
    }
    return {
        **{
            f"sys/devices/system/cpu/cpu{number}/cpufreq/{name}": f"{value}\n"
            for number in range(CORES)
            for name, value in clocks.items()
        },
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "45000\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
    }
