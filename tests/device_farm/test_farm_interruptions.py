"""Coordinators, workers and parents that are killed while jobs run."""

import os
import queue
import select
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from farm_models import add_model
from farm_peers import Process

from device_farm.client import FarmClient
from device_farm.local import LocalFarm
from device_farm.types import (
    FarmError,
    FarmUnavailable,
    Target,
)

SLOW_MODEL = add_model((1, 1024, 1024, 8))


@pytest.fixture
def serving(tmp_path):
    """Starts coordinators on one state folder, on the port that the first one got."""
    started: list[Process] = []

    def serve() -> Process:
        listen = started[0].said if started else "127.0.0.1:0"
        started.append(Process("serve", "--listen", listen, "--state", str(tmp_path / "served")))
        return started[-1]

    yield serve
    for process in started:
        process.kill()


def test_a_coordinator_that_is_killed_goes_on_where_it_was(serving, tmp_path, quick):
    """The running job is not started again: its worker keeps it, and its client waits."""
    coordinator = serving()
    options = ("--state", str(tmp_path / "w"), "--name", "pi", "--emulated")  # judged by no rules
    worker = Process("worker", "--farm", coordinator.said, *options)
    updates: queue.Queue[str] = queue.Queue()
    answers: queue.Queue[object] = queue.Queue()
    client = FarmClient(coordinator.said, device_wait_seconds=60)
    long = replace(quick, min_invocations=300, max_invocations=300, timeout_seconds=120)
    waiting = [client.submit(add_model((1, 2, 2, size)), Target(), quick) for size in (1, 2)]

    def measure() -> None:
        try:
            answers.put(client.measure(SLOW_MODEL, Target(), long, on_update=updates.put))
        except FarmError as error:
            answers.put(error)

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        while updates.get(timeout=60) != "running on pi":
            pass
        coordinator.kill()
        coordinator = serving()
        found = answers.get(timeout=120)
        assert getattr(found, "device_name", found) == "pi"
        (record,) = (record for record in client.jobs() if record.latency_ms == found.latency_ms)
        story = [entry.text for entry in client.job(record.job_id).story]
        assert story[1].startswith("leased to pi under token ")
        assert not any("(loss)" in text for text in story)
        assert [client.job(job_id).state for job_id in waiting] == ["measured", "measured"]
    finally:
        client.close()
        thread.join(30)
        worker.kill()


def test_a_worker_comes_back_to_a_coordinator_that_was_restarted(make_coordinator, tmp_path, model, quick):
    with make_coordinator(tmp_path / "c") as first:
        address = first.address
        command = ["worker", "--farm", address, "--state", str(tmp_path / "w"), "--name", "phoenix"]
        worker = subprocess.Popen([sys.executable, "-m", "device_farm", *command], stderr=subprocess.DEVNULL)
        with FarmClient(address, device_wait_seconds=60) as client:
            assert client.measure(model, Target(), quick).device_name == "phoenix"
    try:
        with make_coordinator(tmp_path / "c", address), FarmClient(address, device_wait_seconds=60) as client:
            assert client.measure(model, Target(), quick).device_name == "phoenix"
    finally:
        worker.terminate()
        assert worker.wait(30) == 0


def test_the_job_of_a_worker_that_is_killed_goes_to_another_one(coordinator, tmp_path, quick):
    def start(name: str) -> subprocess.Popen[bytes]:
        options = [
            "--farm",
            coordinator.address,
            "--state",
            str(tmp_path / name),
            "--name",
            name,
            "--emulated",
        ]
        return subprocess.Popen([sys.executable, "-m", "device_farm", "worker", *options])

    workers = {"first": start("first")}
    updates: queue.Queue[str] = queue.Queue()
    answers: queue.Queue[object] = queue.Queue()
    client = FarmClient(coordinator.address, device_wait_seconds=60)
    settings = replace(quick, min_invocations=100, max_invocations=100)

    def measure() -> None:
        try:
            answers.put(client.measure(SLOW_MODEL, Target(), settings, on_update=updates.put))
        except FarmError as error:
            answers.put(error)

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        while updates.get(timeout=60) != "running on first":
            pass
        workers["first"].kill()
        workers["first"].wait(30)
        workers["second"] = start("second")
        found = answers.get(timeout=120)
        assert getattr(found, "device_name", found) == "second"
    finally:
        client.close()
        thread.join(30)
        for worker in workers.values():
            worker.terminate()
            worker.wait(30)


PARENT = """
import sys
from pathlib import Path
from device_farm.client import FarmClient
from device_farm.local import LocalFarm
with LocalFarm(Path(sys.argv[1])) as farm:
    print(farm.address, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def parent_of_a_farm(tmp_path):
    """A process that holds a local farm until its stdin closes; with the pids of the farm's processes."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    address = parent.stdout.readline().strip()
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    assert len(children) == 2
    yield parent, address, [os.pidfd_open(int(child)) for child in children]
    parent.kill()
    parent.communicate()


def ends(pidfd: int, seconds: float) -> bool:
    return bool(select.select([pidfd], [], [], seconds)[0])


def test_the_local_farm_dies_with_a_parent_that_is_killed(parent_of_a_farm):
    parent, _, children = parent_of_a_farm
    parent.kill()
    parent.wait()
    assert all(ends(child, 30) for child in children)


def test_ctrl_c_reaches_the_parent_only_which_then_stops_the_farm(parent_of_a_farm):
    parent, _, children = parent_of_a_farm
    for child in children:
        group = os.getpgid(pid_of(child))
        assert group not in (os.getpgid(0), parent.pid)
    parent.send_signal(signal.SIGINT)
    assert all(ends(child, 30) for child in children)
    parent.wait(30)


def test_a_local_farm_that_cannot_start_says_why(tmp_path):
    farm = LocalFarm(tmp_path, runtimes={"tflite-1.0": sys.executable})
    with pytest.raises(FarmUnavailable, match=r"(?s)worker ended at once.*offers tflite-2\.14\.0 instead"):
        farm.__enter__()
    with pytest.raises(RuntimeError, match="not running"):
        _ = farm.address


def pid_of(pidfd: int) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines())
    return int(fields["Pid"])
