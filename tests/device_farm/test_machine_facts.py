import platform
import shutil
import struct

import pytest
from machine_trees import plant, raspberry_pi_4

from device_farm.worker.facts import automatic_labels, device_class_of, find_facts


def test_a_raspberry_pi_is_recognised(tmp_path):
    facts = find_facts(raspberry_pi_4(tmp_path))
    about_this_host = {"hostname", "cores", "disk_free_mb"}
    assert {key: value for key, value in facts.items() if key not in about_this_host} == {
        "os": "Debian GNU/Linux 12 (bookworm)",
        "kernel": platform.release(),
        "arch": platform.machine(),
        "userland_bits": str(8 * struct.calcsize("P")),
        "python": platform.python_version(),
        "board": "Raspberry Pi 4 Model B Rev 1.4",
        "board_revision": "c03114",
        "soc": "bcm2711",
        "cpu": "Cortex-A72",
        "cpu_max_mhz": "1800",
        "governor": "ondemand",
        "memory_mb": "3793",
        "disk_mb": str(shutil.disk_usage(tmp_path).total // 2**20),
    }
    assert facts.keys() >= about_this_host
    assert device_class_of(facts) == "raspberrypi-4b"
    labels = automatic_labels(facts)
    assert labels.items() >= {"board": "raspberrypi-4b", "soc": "bcm2711"}.items()


def test_a_32_bit_kernel_tells_the_revision_as_text(tmp_path):
    plant(tmp_path, {"proc/cpuinfo": "Hardware\t: BCM2711\nRevision\t: b03115\n"})
    facts = find_facts(tmp_path)
    assert (facts["board_revision"], facts["cpu"]) == ("b03115", "BCM2711")


def test_what_cannot_be_read_is_absent(tmp_path):
    facts = find_facts(tmp_path)
    boards = {"board", "board_revision", "soc", "cpu", "cpu_max_mhz", "memory_mb", "governor"}
    assert not facts.keys() & boards
    assert device_class_of(facts) == f"{platform.machine()} unknown CPU"
    assert "soc" not in automatic_labels(facts)


def test_this_machine_tells_its_cores_memory_and_disk():
    facts = find_facts()
    assert int(facts["cores"]) >= 1
    assert int(facts["memory_mb"]) > 0
    assert 0 <= int(facts["disk_free_mb"]) <= int(facts["disk_mb"])


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
