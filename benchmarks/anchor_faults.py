"""The same faults on each system: what becomes of a job, of its client and of the device, in a bounded wait."""

import os
import signal
import time
from collections.abc import Callable

from anchor_systems import System
from child_process import Child, leaves

JOB_S = 12.0
SETTLE_S = 4.0  # until a client that was started is in the queue
FREE_WITHIN_S, RESULT_WITHIN_S, HANG_WITHIN_S = 20.0, 35.0, 60.0

Experiment = Callable[[System], str]


def client_killed(system: System) -> str:
    """SIGKILL to a client in the middle of its job, while another one waits for the only device."""
    system.start_server()
    system.start_device(0)
    first = system.start_job(JOB_S)
    first.need("started")
    second = system.start_job(0.0)
    time.sleep(SETTLE_S)  # no anchor tells when a request is in its queue
    first.kill()
    killed = time.monotonic()
    if second.wait_for("started", FREE_WITHIN_S) is None:
        return f"the next client has no device after {FREE_WITHIN_S:.0f} s"
    return f"the next client has the device after {time.monotonic() - killed:.1f} s"


def device_killed(system: System) -> str:
    """SIGKILL to a device in the middle of a job, while another device is free."""
    job = _job_with_a_device_to_spare(system, lambda device: device.kill())
    return _result(job, RESULT_WITHIN_S)


def device_hangs(system: System) -> str:
    """SIGSTOP to a device in the middle of a job, while another device is free."""
    job = _job_with_a_device_to_spare(system, lambda device: device.signal(signal.SIGSTOP))
    return _result(job, HANG_WITHIN_S)


def server_restarts(system: System) -> str:
    """SIGKILL to the server, which is started again at once, with one job running and one waiting."""
    system.start_server()
    system.keep()
    device = system.start_device(0)
    running = system.start_job(JOB_S)
    running.need("started")
    waiting = system.start_job(1.0)
    time.sleep(SETTLE_S)  # likewise
    system.kill_server()
    system.start_server()
    new = system.start_job(1.0)
    deadline = time.monotonic() + RESULT_WITHIN_S
    jobs = {"running job": running, "waiting job": waiting, "new job": new}
    found = [f"{name}: {_result(job, deadline - time.monotonic())}" for name, job in jobs.items()]
    return "; ".join(
        [*found, "device's process goes on" if device.is_alive() else "device's process has ended"]
    )


def model_process_killed(system: System) -> str:
    """SIGSEGV to the process in which the device runs the model, as if the model had crashed it."""
    system.start_server()
    device = system.start_device(0)
    job = system.start_job(JOB_S)
    job.need("started")
    time.sleep(SETTLE_S)  # the model is loaded by then, and not measured yet
    for leaf in leaves(device.pid):
        os.kill(leaf, signal.SIGSEGV)
    found = _result(job, FREE_WITHIN_S)
    return f"{found}; next job: {_result(system.start_job(1.0), FREE_WITHIN_S)}"


def stranger(system: System) -> str:
    """A client without credentials asks for the devices."""
    system.start_server()
    answer = system.start_stranger().answer(FREE_WITHIN_S)
    if answer is None:
        return "no answer"
    return f"refused: {answer['refused']}" if "refused" in answer else "is answered"


def _job_with_a_device_to_spare(system: System, break_device: Callable[[Child], None]) -> Child:
    system.start_server()
    device = system.start_device(0)
    job = system.start_job(JOB_S)
    job.need("started")
    system.start_device(1)
    break_device(device)
    return job


def _result(job: Child, within_s: float) -> str:
    """What the job's client says in the end, in words."""
    started = time.monotonic()
    answer = job.answer(max(within_s, 0.1))
    if answer is None:
        state = "no result" if job.is_alive() else "the client died without a result"
        return f"{state} after {time.monotonic() - started:.0f} s"
    tries = f", attempt {answer['attempts']}" if answer["attempts"] > 1 else ""
    outcome = " ".join(answer["outcome"].split())
    return f"{outcome} ({answer['seconds']:.1f} s in all{tries})"
