"""Ray's servers die under a sweep, or everything is asked to stop at once: the sweep ends in order."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest
from sweep_cli import PATIENCE_S, SPACE, start_sweep, sweep, wait_for

from sweep.lifecycle import Record, read_journal, read_state
from sweep.lifecycle.events import EpochTrained, SweepEnded

pytestmark = pytest.mark.long


def in_the_middle(records: tuple[Record, ...]) -> bool:
    return any(isinstance(record.event, EpochTrained) for record in records)


def servers_of(process: subprocess.Popen[str]) -> dict[str, psutil.Process]:
    """Ray's servers, by name."""
    children = psutil.Process(process.pid).children(recursive=True)
    return {child.name(): child for child in children if child.name() in ("gcs_server", "raylet")}


def runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until_ended(processes: list[psutil.Process]) -> None:
    """Return once none of them runs; one that nobody has collected yet has ended too."""
    deadline = time.monotonic() + PATIENCE_S
    while any(runs(process) for process in processes):
        assert time.monotonic() < deadline, processes
        threading.Event().wait(0.05)  # they are nobody's children any more: there is nothing to wait on


@pytest.mark.parametrize("server", ["gcs_server", "raylet"])
def test_the_death_of_a_server_of_ray_ends_the_sweep_with_its_name(
    tmp_path: Path, real_images: Path, server: str
) -> None:
    directory = tmp_path / "runs" / "mini"
    process = start_sweep("run", SPACE, "--data", real_images, "--runs", tmp_path / "runs", "--name", "mini")
    wait_for(directory, in_the_middle)
    victim = servers_of(process)[server]
    workers = psutil.Process(process.pid).children(recursive=True)

    victim.kill()

    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, output
    assert f"Ray's {server} (process {victim.pid}) ended" in output
    assert read_state(directory).ended == SweepEnded("error", f"Ray's {server} (process {victim.pid}) ended")
    wait_until_ended(workers)  # no trainer goes on with nobody to report to

    done = sweep("resume", "mini", "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stdout + done.stderr
    ends = [r.event.reason for r in read_journal(directory) if isinstance(r.event, SweepEnded)]
    assert ends == ["error", "finished"]


def test_sigterm_to_all_of_the_group_stops_in_order(tmp_path: Path, real_images: Path) -> None:
    directory = tmp_path / "runs" / "mini"
    process = start_sweep("run", SPACE, "--data", real_images, "--runs", tmp_path / "runs", "--name", "mini")
    wait_for(directory, in_the_middle)
    groups = {os.getpgid(server.pid) for server in servers_of(process).values()}
    assert len(groups) == 2
    assert process.pid not in groups

    os.killpg(process.pid, signal.SIGTERM)

    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert read_state(directory).ended == SweepEnded("stopped", "SIGTERM")
