"""Training and measuring exclude each other, between processes, whatever dies."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from sweep.engine.quiet import QuietHost

SPAWN = multiprocessing.get_context("spawn")


def be_busy(directory: str, pipe: Connection) -> None:
    with QuietHost(Path(directory)).busy():
        pipe.send("busy")
        pipe.recv()


def train_without_pause(directory: str, pipe: Connection) -> None:
    """A trainer that takes the next step as soon as the last one is done; says how many it did."""
    host, steps = QuietHost(Path(directory)), 0
    pipe.send("started")
    while not pipe.poll():
        with host.busy():
            steps += 1
    pipe.send(steps)


def start(target: object, directory: Path) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=target, args=(str(directory), there), daemon=True)
    process.start()
    here.recv()
    return process, here


def quiet_in_thread(host: QuietHost) -> tuple[threading.Thread, threading.Event, threading.Event]:
    entered, leave = threading.Event(), threading.Event()

    def measure() -> None:
        with host.quiet():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=measure, daemon=True)
    thread.start()
    return thread, entered, leave


def test_a_measurement_waits_for_the_step_under_way(tmp_path: Path) -> None:
    process, pipe = start(be_busy, tmp_path)
    thread, entered, leave = quiet_in_thread(QuietHost(tmp_path))
    assert not entered.wait(0.2)
    pipe.send("done")
    assert entered.wait(30)
    leave.set()
    thread.join()
    process.join()


def test_steps_of_several_trainers_overlap(tmp_path: Path) -> None:
    process, pipe = start(be_busy, tmp_path)
    with QuietHost(tmp_path).busy():
        pipe.send("done")
    process.join()
    assert process.exitcode == 0


def test_a_step_waits_for_the_measurement(tmp_path: Path) -> None:
    host = QuietHost(tmp_path)
    thread, entered, leave = quiet_in_thread(host)
    assert entered.wait(30)
    done = threading.Event()

    def step() -> None:
        with host.busy():
            done.set()

    trainer = threading.Thread(target=step, daemon=True)
    trainer.start()
    assert not done.wait(0.2)
    leave.set()
    assert done.wait(30)
    thread.join()
    trainer.join()


def test_a_trainer_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    process, _ = start(be_busy, tmp_path)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with QuietHost(tmp_path).quiet():
        pass


@pytest.mark.timeout(60)
def test_trainers_that_never_pause_do_not_starve_a_measurement(tmp_path: Path) -> None:
    trainers = [start(train_without_pause, tmp_path) for _ in range(2)]
    for _ in range(20):
        with QuietHost(tmp_path).quiet():
            pass
    for process, pipe in trainers:
        pipe.send("stop")
        assert pipe.recv() > 0
        process.join()
