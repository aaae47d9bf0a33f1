"""The files of a Raspberry Pi 4 that facts and surroundings are read from, below a folder of a test."""

from collections.abc import Mapping
from pathlib import Path

from device_farm.worker.surroundings import Snapshot

CPUFREQ = "sys/devices/system/cpu/cpufreq/policy0"
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
RASPBERRY_PI_4 = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/device-tree/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0",
    "proc/device-tree/system/linux,revision": "\0\xc0\x31\x14",
    "proc/cpuinfo": (
        "processor\t: 0\nCPU part\t: 0xd08\n\n"
        "Hardware\t: BCM2835\nRevision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
    ),
    "proc/meminfo": "MemTotal:        3884392 kB\nMemFree: 1 kB\n",
    "proc/loadavg": "0.25 0.18 0.71 1/98 15345\n",
    "proc/stat": (
        "cpu  1000 20 300 90000 50 6 7 0 0 0\n"
        "cpu0 700 10 200 20000 20 6 7 0 0 0\n"
        "cpu1 100 10 50 25000 10 0 0 0 0 0\n"
        "cpu2 100 0 25 25000 10 0 0 0 0 0\n"
        "cpu3 100 0 25 20000 10 0 0 0 0 0\n"
        "intr 9982816 0 0\n"
    ),
    "proc/self/stat": "41 (device-farm) S 1 41 41 0 -1 4194560 900 0 0 0 30 12 0 0 20 0 4 0 500 1 1\n",
    "proc/77/stat": "77 (py) thon) 3 (x) R 41 77 77 0 -1 4194560 900 0 0 0 210 40 5 5 20 0 1 0 600 1 1\n",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    f"{CPUFREQ}/scaling_cur_freq": "1500000\n",
    f"{CPUFREQ}/scaling_max_freq": "1800000\n",
    f"{CPUFREQ}/cpuinfo_max_freq": "1800000\n",
    f"{CPUFREQ}/scaling_governor": "ondemand\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48212\n",
    "sys/class/thermal/thermal_zone1/type": "acpitz\n",
    "sys/class/thermal/thermal_zone1/temp": "90000\n",
    "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
    "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n",
    THROTTLED: "50005\n",
}


def plant(root: Path, files: Mapping[str, str]) -> Path:
    """Writes the files below ``root``, as Latin-1 so that any byte can be told."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
    return root


def raspberry_pi_4(root: Path, changes: Mapping[str, str] | None = None) -> Path:
    """A Raspberry Pi 4 whose four CPUs share one clock, as its kernel shows it; with some files changed."""
    plant(root, {**RASPBERRY_PI_4, **(changes or {})})
    for number in range(4):
        cpu = root / f"sys/devices/system/cpu/cpu{number}"
        cpu.mkdir(exist_ok=True)
        (cpu / "cpufreq").symlink_to("../cpufreq/policy0")
    return root


# A Raspberry Pi 4 that does nothing else and lacks nothing.
QUIET = Snapshot(
    at_seconds=100.0,
    cores=4,
    frequency_mhz=1800.0,
    frequency_limit_mhz=1800.0,
    frequency_nominal_mhz=1800.0,
    governor="performance",
    temperature_c=48.0,
    throttled=0,
    under_voltage_alarm=False,
    load_average=0.5,
    busy_seconds=1000.0,
    steal_seconds=0.0,
    own_seconds=5.0,
    child_seconds=2.0,
)
