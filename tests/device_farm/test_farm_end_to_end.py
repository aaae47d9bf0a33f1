"""Real coordinators, workers and clients over loopback."""

import hashlib
import os
import queue
import select
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from farm_models import add_model

from device_farm import convert
from device_farm.client import FarmClient
from device_farm.jobs import Infeasible, Job, LeaseResult, Revocation, RunReport
from device_farm.local import LocalFarm
from device_farm.rpc import farm_pb2 as pb
from device_farm.rpc import farm_pb2_grpc as rpc
from device_farm.types import (
    FarmError,
    FarmUnavailable,
    InfeasibleModel,
    MeasurementFailed,
    MeasurementSettings,
    NoSuchDevice,
    Target,
)

ENDLESS = MeasurementSettings(min_invocations=100_000, max_invocations=100_000, timeout_seconds=600)
SLOW_MODEL = add_model((1, 1024, 1024, 8))


def test_a_file_is_measured_on_this_machine(client, model, quick, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    for given in (model, path):
        found = client.measure(given, Target({"room": "lab"}, "tflite-2.14.0", 1, "none"), quick)
        assert found.model_sha256 == hashlib.sha256(model).hexdigest()
        assert (found.device_name, found.runtime, found.threads, found.delegate) == (
            *("bench", "tflite-2.14.0", 1, "none"),
        )
        assert found.interval_ms[0] <= found.latency_ms <= found.interval_ms[1]
        assert min(found.samples_ms) <= found.latency_ms <= max(found.samples_ms)
        assert 8 <= len(found.samples_ms) <= 20


def test_a_file_above_the_message_limit_of_grpc_is_measured(client, model, quick):
    large = model + bytes(6 * 1024 * 1024)  # bytes behind the flatbuffer do not matter to the interpreter
    assert client.measure(large, Target(), quick).model_sha256 == hashlib.sha256(large).hexdigest()


def test_the_farm_lists_the_device_with_its_facts(client):
    (device,) = client.devices()
    assert (device.name, device.state, device.labels["room"]) == ("bench", "idle", "lab")
    assert device.labels["arch"] == os.uname().machine
    assert int(device.facts["cores"]) == len(os.sched_getaffinity(0))
    assert [runtime.name for runtime in device.runtimes] == ["tflite-2.14.0"]


def test_the_device_keeps_its_id_across_restarts(tmp_path):
    ids = []
    for _ in range(2):
        with LocalFarm(tmp_path) as farm, FarmClient(farm.address) as client:
            ids.append([device.device_id for device in client.devices()])
    assert ids[0] == ids[1]


def test_a_model_that_the_runtime_refuses_is_infeasible_in_the_interpreters_words(client, quick):
    with pytest.raises(InfeasibleModel, match=r"tflite-2\.14\.0 on bench: Encountered unresolved custom op"):
        client.measure(add_model(custom_operator="NoSuchOp"), Target(), quick)


def test_a_model_that_crashes_the_interpreter_takes_no_one_else_down(client, model, quick):
    damaged = bytearray(model)
    damaged[76] ^= 1
    with pytest.raises(InfeasibleModel, match="SIGSEGV"):
        client.measure(bytes(damaged), Target(), quick)
    assert client.measure(model, Target(), quick).latency_ms > 0


@pytest.mark.parametrize("data", [b"", b"TFL3", b"hello world, no model", bytes(1000)])
def test_bytes_that_are_no_tflite_file_are_refused(client, data):
    with pytest.raises(InfeasibleModel, match=r"not a TFLite file|empty"):
        client.measure(data, Target())


@pytest.mark.parametrize(
    "chunks", [[], [b""], [b"TFL"], [b"\0\0\0\0TF", b"LITE and more"], [b"x" * 100_000] * 3]
)
def test_the_coordinator_itself_refuses_what_is_no_tflite_file(local_farm, chunks):
    with grpc.insecure_channel(local_farm.address) as channel, pytest.raises(grpc.RpcError) as caught:
        rpc.FarmStub(channel).UploadModel(pb.ModelChunk(data=chunk) for chunk in chunks)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "TFLite" in caught.value.details() or "empty" in caught.value.details()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (Target({"soc": "bcm2711"}), "label soc is absent, wanted bcm2711"),
        (Target(runtime="tflite-2.5.0"), "no runtime tflite-2.5.0"),
        (Target(threads=1000), "1000 threads wanted on"),
    ],
)
def test_a_target_that_nothing_satisfies_is_told_what_the_farm_has(client, model, target, reason):
    with pytest.raises(NoSuchDevice, match=rf"the farm has bench \(.*\): {reason}"):
        client.measure(model, target)


def test_an_address_where_nobody_listens_is_named(model):
    with FarmClient("127.0.0.1:1") as client:
        for call in (client.devices, lambda: client.measure(model, Target())):
            with pytest.raises(FarmUnavailable, match=r"no farm answers at 127\.0\.0\.1:1: .*refused"):
                call()


def test_many_threads_share_one_client(client, quick):
    results: queue.Queue[tuple[str, str]] = queue.Queue()

    def measure(index: int) -> None:
        data = add_model((1, 4, 4, index))
        results.put((hashlib.sha256(data).hexdigest(), client.measure(data, Target(), quick).model_sha256))

    threads = [threading.Thread(target=measure, args=(index,)) for index in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = [results.get_nowait() for _ in threads]
    assert len(set(found)) == 6
    assert all(asked == answered for asked, answered in found)


def test_closing_the_client_ends_its_job_and_frees_the_device(local_farm, client, model, quick):
    running, ended = threading.Event(), queue.Queue()
    other = FarmClient(local_farm.address)

    def note(text: str) -> None:
        if text.startswith("running"):
            running.set()

    def measure() -> None:
        try:
            other.measure(SLOW_MODEL, Target(), ENDLESS, on_update=note)
        except FarmError as error:
            ended.put(error)

    thread = threading.Thread(target=measure)
    thread.start()
    assert running.wait(30)
    other.close()
    assert isinstance(ended.get(timeout=30), FarmUnavailable)
    thread.join(30)
    assert client.measure(model, Target(), quick, timeout_seconds=60).latency_ms > 0


def test_a_wait_that_is_over_ends_the_job_and_frees_the_device(client, model, quick):
    with pytest.raises(MeasurementFailed, match="in the time given"):
        client.measure(SLOW_MODEL, Target(), ENDLESS, timeout_seconds=1.5)
    assert client.measure(model, Target(), quick, timeout_seconds=60).latency_ms > 0


def honest(lease_job: Job, **changes: object) -> RunReport:
    samples = tuple(float(value) for value in range(1, lease_job.settings.min_invocations + 1))
    report = RunReport(
        lease_job.model_sha256,
        "tflite-2.14.0",
        "2.14.0",
        1,
        "xnnpack",
        samples,
        samples[:5],
        samples,
        1.0,
        {},
    )
    return replace(report, **changes)


@pytest.fixture
def measuring(coordinator, model):
    """Starts a measurement in a thread; its result or error arrives in the returned queue."""
    clients, threads = [], []

    def start() -> queue.Queue:
        client = FarmClient(coordinator.address)
        answers: queue.Queue = queue.Queue()

        def measure() -> None:
            try:
                answers.put(client.measure(model, Target()))
            except FarmError as error:
                answers.put(error)

        thread = threading.Thread(target=measure)
        thread.start()
        clients.append(client)
        threads.append(thread)
        return answers

    yield start
    for client in clients:
        client.close()
    for thread in threads:
        thread.join(30)


def test_a_lying_worker_is_not_believed_and_its_honest_answer_is(scripted_worker, measuring):
    answers = measuring()
    first = scripted_worker.receive_lease()
    lie = honest(first.job, model_sha256="cd" * 32)
    scripted_worker.send(LeaseResult(first.token, lie))
    second = scripted_worker.receive_lease()
    assert (second.job, second.token > first.token) == (first.job, True)
    scripted_worker.send(LeaseResult(first.token, honest(first.job)))  # honest, but under the old token
    not_numbers = (float("nan"),) * second.job.settings.min_invocations
    scripted_worker.send(LeaseResult(second.token, honest(second.job, samples_ms=not_numbers)))
    third = scripted_worker.receive_lease()
    scripted_worker.send(LeaseResult(third.token, honest(third.job)))
    found = answers.get(timeout=30)
    assert (found.latency_ms, found.device_id, found.device_class) == (15.5, "d1", "raspberrypi-4b")


def test_a_worker_that_only_lies_fails_the_job_in_the_end(scripted_worker, measuring):
    answers = measuring()
    for _ in range(3):
        lease = scripted_worker.receive_lease()
        scripted_worker.send(LeaseResult(lease.token, honest(lease.job, samples_ms=())))
    error = answers.get(timeout=30)
    assert isinstance(error, MeasurementFailed)
    assert "gave up after 3 attempts" in str(error)
    assert "0 samples, wanted 30 to 300" in str(error)


def test_a_client_that_goes_away_has_its_lease_revoked(coordinator, scripted_worker, model):
    client = FarmClient(coordinator.address)

    def measure() -> None:
        with pytest.raises(FarmUnavailable, match="closed"):
            client.measure(model, Target())

    thread = threading.Thread(target=measure)
    thread.start()
    lease = scripted_worker.receive_lease()
    client.close()
    thread.join(30)
    assert scripted_worker.receive() == Revocation(lease.token, "the client went away")


def test_a_worker_that_speaks_out_of_turn_is_cut_off(coordinator, scripted_worker):
    scripted_worker.send(scripted_worker.registration)
    with pytest.raises(grpc.RpcError, match="registers once"):
        scripted_worker.receive()
    with FarmClient(coordinator.address) as client:
        assert [device.state for device in client.devices()] == ["offline"]


def test_an_answer_given_before_registration_is_refused(coordinator):
    message = convert.worker_message_to_wire(LeaseResult(1, Infeasible("x")))
    with grpc.insecure_channel(coordinator.address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(rpc.FleetStub(channel).Work(iter([message])))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_job_for_a_model_that_was_never_uploaded_is_refused(coordinator):
    request = convert.measure_request(Job("j", "../../etc/passwd"))
    with grpc.insecure_channel(coordinator.address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(rpc.FarmStub(channel).Measure(request))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_coordinator_that_stops_is_reported_to_waiting_clients(make_coordinator, tmp_path, model):
    ended, queued = queue.Queue(), threading.Event()
    with make_coordinator(tmp_path) as coordinator:
        client = FarmClient(coordinator.address, device_wait_seconds=600)

        def measure() -> None:
            try:
                client.measure(model, Target(), on_update=lambda _: queued.set())
            except FarmError as error:
                ended.put(error)

        thread = threading.Thread(target=measure)
        thread.start()
        assert queued.wait(30)
    error = ended.get(timeout=30)
    assert isinstance(error, FarmUnavailable)
    assert str(error).endswith("the coordinator stopped")
    thread.join(30)
    client.close()


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
        options = ["--farm", coordinator.address, "--state", str(tmp_path / name), "--name", name]
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


@pytest.mark.tflite25
def test_a_worker_offers_tflite_2_5_beside_its_own_runtime(tmp_path, model, quick):
    python = os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"]
    with (
        LocalFarm(tmp_path, runtimes={"tflite-2.5.0": python}) as farm,
        FarmClient(farm.address, device_wait_seconds=0) as client,
    ):
        (device,) = client.devices()
        assert [runtime.name for runtime in device.runtimes] == ["tflite-2.14.0", "tflite-2.5.0"]
        old = Target(runtime="tflite-2.5.0", delegate="none")
        found = client.measure(model, old, quick)
        assert (found.runtime, found.runtime_version, found.delegate) == ("tflite-2.5.0", "2.5.0", "none")
        with pytest.raises(InfeasibleModel, match=r"tflite-2\.5\.0 on .*unresolved custom op: NoSuchOp"):
            client.measure(add_model(custom_operator="NoSuchOp"), old, quick)
        with pytest.raises(NoSuchDevice, match=r"tflite-2\.5\.0 has no delegate xnnpack"):
            client.measure(model, replace(old, delegate="xnnpack"), quick)
