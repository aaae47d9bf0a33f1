import platform
from pathlib import Path

import pytest

from device_farm.facts import automatic_labels, device_class_of, find_facts, throttled_bits


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    """The files of a Raspberry Pi 4 that the facts come from."""
    files = {
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "proc/device-tree/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0",
        "proc/cpuinfo": "processor\t: 0\nCPU part\t: 0xd08\n\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi 4\n",
        "proc/meminfo": "MemTotal:        3884392 kB\nMemFree: 1 kB\n",
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_raspberry_pi_is_recognised(pi):
    facts = find_facts(pi)
    expected = {
        "board": "Raspberry Pi 4 Model B Rev 1.4",
        "soc": "bcm2711",
        "cpu": "BCM2835",
        "memory_mb": "3793",
        "governor": "ondemand",
        "os": "Debian GNU/Linux 12 (bookworm)",
        "arch": platform.machine(),
    }
    assert facts.items() >= expected.items()
    assert device_class_of(facts) == "raspberrypi-4b"
    labels = automatic_labels(facts)
    assert labels.items() >= {"board": "raspberrypi-4b", "soc": "bcm2711"}.items()


def test_what_cannot_be_read_is_absent(tmp_path):
    facts = find_facts(tmp_path)
    assert not facts.keys() & {"board", "soc", "cpu", "memory_mb", "governor"}
    assert device_class_of(facts) == f"{platform.machine()} unknown CPU"
    assert "soc" not in automatic_labels(facts)


def test_this_machine_tells_its_cores_and_memory():
    facts = find_facts()
    assert int(facts["cores"]) >= 1
    assert int(facts["memory_mb"]) > 0


@pytest.mark.parametrize(
    ("board", "expected"),
    [
        ("Raspberry Pi 4 Model B Rev 1.1", "raspberrypi-4b"),
        ("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi-5b"),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", "raspberrypi-3bplus"),
        ("Raspberry Pi 400 Rev 1.0", "raspberrypi-400"),
        ("Raspberry Pi Compute Module 4 Rev 1.0", "raspberrypi-cm4"),
        ("Raspberry Pi Zero 2 W Rev 1.0", "raspberrypi-zero-2-w"),
        ("Radxa ROCK 5B", "radxa-rock-5b"),
    ],
)
def test_the_class_names_the_board_without_its_revision(board, expected):
    assert device_class_of({"board": board, "arch": "aarch64"}) == expected


def test_throttling_bits_are_read_where_the_firmware_tells(pi, tmp_path):
    assert throttled_bits(pi) == "0x50005"
    assert throttled_bits(tmp_path / "nothing") is None
