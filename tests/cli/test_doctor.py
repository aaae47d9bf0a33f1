"""What ``sweep doctor`` finds, and what it says to do."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from device_farm.local import LocalFarm
from sweep import doctor
from sweep.doctor import Finding


def test_an_installed_package_in_a_version_that_is_allowed_is_good() -> None:
    finding = doctor.check_package(Requirement("numpy>=1.26,<2"))
    assert (finding.subject, finding.verdict, finding.advice) == ("numpy", "good", "")


def test_a_version_that_clashes_is_named_with_what_is_needed() -> None:
    finding = doctor.check_package(Requirement("numpy<1"))
    assert (finding.verdict, finding.advice) == ("bad", f"needs <1: {doctor.INSTALL}")


def test_a_package_that_is_missing_is_bad() -> None:
    finding = doctor.check_package(Requirement("no-such-package>=1"))
    assert finding == Finding("no-such-package", "bad", "not installed", doctor.INSTALL)


def test_memory_disk_and_shared_memory_are_judged_by_what_a_sweep_needs(tmp_path: Path) -> None:
    assert doctor.judge_memory(8.0) == Finding("memory", "good", "8.0 GB free")
    assert doctor.judge_memory(1.0).verdict == "bad"
    assert doctor.judge_disk(tmp_path, 60.0) == Finding("disk", "good", f"60.0 GB free at {tmp_path}")
    assert doctor.judge_disk(tmp_path, 0.5).advice == "free some space: a sweep needs 5 GB"
    assert doctor.judge_shared_memory(64.0).verdict == "note"
    assert doctor.judge_shared_memory(2000.0) == Finding("shared memory", "good", "2000 MB free")


def test_the_disk_is_checked_where_the_sweeps_will_be(tmp_path: Path) -> None:
    assert doctor.check_disk(tmp_path / "not" / "yet").found.endswith(f" at {tmp_path}")
    file = tmp_path / "file"
    file.touch()
    expected = Finding("disk", "bad", f"{file} is a file", "choose a folder with --runs")
    assert doctor.check_disk(file) == expected


def test_an_address_of_ray_in_the_environment_is_noted() -> None:
    assert doctor.judge_ray_settings(None).verdict == "good"
    assert doctor.judge_ray_settings("").verdict == "good"
    assert doctor.judge_ray_settings("10.0.0.1:6379").found == "RAY_ADDRESS=10.0.0.1:6379"
    assert doctor.judge_ray_settings("10.0.0.1:6379").verdict == "note"


def test_a_farm_that_does_not_answer_is_bad() -> None:
    assert doctor.check_farm("127.0.0.1:1") == Finding(
        "device farm",
        "bad",
        "no farm answers at 127.0.0.1:1: Connection refused",
        "start it: device-farm serve --listen 127.0.0.1:1",
    )


def test_a_farm_with_a_device_is_good(tmp_path: Path) -> None:
    with LocalFarm(tmp_path, name="board") as farm:
        finding = doctor.check_farm(farm.address)
        address = farm.address
    assert (finding.verdict, finding.advice) == ("good", "")
    assert finding.found.startswith(f"{address}: board (")


@pytest.mark.parametrize(
    ("verdicts", "healthy"), [(("good", "note"), True), (("good", "bad"), False), ((), True)]
)
def test_only_something_bad_makes_a_machine_unhealthy(verdicts, healthy) -> None:
    assert doctor.healthy([Finding("x", verdict, "") for verdict in verdicts]) is healthy


def test_the_command_shows_every_finding_and_ends_with_1_if_one_is_bad(call, tmp_path) -> None:
    result = call("doctor", "--runs", tmp_path, "--farm", "127.0.0.1:1")
    assert result.exit_code == 1
    for subject in (
        "Python",
        "packages",
        "TFLite interpreter",
        "memory",
        "GPU",
        "disk",
        "Ray",
        "device farm",
    ):
        assert subject in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_malformed_address_is_bad_input(call) -> None:
    result = call("doctor", "--farm", "junk")
    message = "error: --farm: address 'junk': expected HOST:PORT, such as 127.0.0.1:50051\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)
