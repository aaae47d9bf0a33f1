"""Real coordinators, workers and clients over loopback."""

import hashlib
import os
import queue
import threading
from dataclasses import replace

import grpc
import pytest
from farm_models import add_model
from farm_reports import SIX, introduction, report
from model_files import aborting_model

from device_farm import convert
from device_farm.client import FarmClient
from device_farm.jobs import (
    Acknowledgement,
    DeviceOrder,
    Infeasible,
    Job,
    LeaseResult,
    Revocation,
    RunReport,
    device_id_of,
)
from device_farm.local import LocalFarm
from device_farm.rpc import farm_pb2 as pb
from device_farm.rpc import farm_pb2_grpc as rpc
from device_farm.types import (
    FarmError,
    FarmUnavailable,
    InfeasibleModel,
    Measurement,
    MeasurementFailed,
    MeasurementSettings,
    NoSuchDevice,
    NoSuchJob,
    OrderRefused,
    Target,
)

ENDLESS = MeasurementSettings(min_invocations=100_000, max_invocations=100_000, timeout_seconds=600)
SIX_SAMPLES = MeasurementSettings(min_invocations=6, max_invocations=6)
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
    with pytest.raises(InfeasibleModel, match=r"bad file.*SIGABRT"):
        client.measure(aborting_model(), Target(), quick)
    assert client.measure(model, Target(), quick, fresh=True).latency_ms > 0


def test_a_damaged_file_reaches_no_device(coordinator, model):
    """There is no worker at all, and still the answer is what is wrong with the file."""
    for damaged in (model[:-9], model[:60] + bytes([model[60] ^ 0x55]) + model[61:], model[:8] + bytes(500)):
        with FarmClient(coordinator.address) as client, pytest.raises(InfeasibleModel, match="TFLite file"):
            client.measure(damaged, Target())
        request = measure_request(Job("j", hashlib.sha256(damaged).hexdigest()), damaged)
        with grpc.insecure_channel(coordinator.address) as channel, pytest.raises(grpc.RpcError) as caught:
            list(rpc.FarmStub(channel).Measure(request))
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "TFLite file" in caught.value.details()


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


def measure_request(job: Job, model: bytes = b"") -> pb.MeasureRequest:
    return pb.MeasureRequest(job=convert.job_to_wire(job), model=model)


def honest(lease_job: Job, **changes: object) -> RunReport:
    """An answer to the lease; its median is 3.5 ms."""
    return report(SIX, model_sha256=lease_job.model_sha256, **changes)


@pytest.fixture
def measuring(coordinator, model):
    """Starts a measurement in a thread; its result or error arrives in the returned queue."""
    clients, threads = [], []

    def start() -> queue.Queue:
        client = FarmClient(coordinator.address)
        answers: queue.Queue = queue.Queue()

        def measure() -> None:
            try:
                answers.put(client.measure(model, Target(), SIX_SAMPLES))
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
    lie = replace(honest(first.job), model_sha256="cd" * 32)
    scripted_worker.send(LeaseResult(first.token, lie))
    second = scripted_worker.receive_lease()
    assert (second.job, second.token > first.token) == (first.job, True)
    scripted_worker.send(LeaseResult(first.token, honest(first.job)))  # honest, but under the old token
    not_numbers = (float("nan"),) * 6
    scripted_worker.send(LeaseResult(second.token, replace(honest(second.job), samples_ms=not_numbers)))
    third = scripted_worker.receive_lease()
    scripted_worker.send(LeaseResult(third.token, honest(third.job)))
    found = answers.get(timeout=30)
    assert (found.latency_ms, found.device_id, found.device_class) == (
        3.5,
        device_id_of("d1"),
        "raspberrypi-4b",
    )


def test_a_worker_that_only_lies_fails_the_job_in_the_end(scripted_worker, measuring):
    answers = measuring()
    for _ in range(3):
        lease = scripted_worker.receive_lease()
        scripted_worker.send(LeaseResult(lease.token, replace(honest(lease.job), samples_ms=())))
    error = answers.get(timeout=30)
    assert isinstance(error, MeasurementFailed)
    assert "gave up after 3 attempts" in str(error)
    assert "0 samples, wanted 6 to 6" in str(error)


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
    assert scripted_worker.receive() == Revocation(lease.token, "the client was closed")


def test_a_worker_that_speaks_out_of_turn_is_cut_off(coordinator, scripted_worker):
    scripted_worker.send(scripted_worker.introduction)
    with pytest.raises(grpc.RpcError, match="registers once"):
        scripted_worker.receive()
    with FarmClient(coordinator.address) as client:
        assert [device.state for device in client.devices()] == ["offline"]


def test_an_answer_given_before_registration_is_refused(coordinator):
    message = convert.worker_message_to_wire(LeaseResult(1, Infeasible("x")))
    with grpc.insecure_channel(coordinator.address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(rpc.FleetStub(channel).Work(iter([message])))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (add_model() + bytes(70_000), "a model of 70300 bytes must be uploaded: 65536 are allowed here"),
        (add_model((1, 2)), "the model's SHA-256 is not " + "ab" * 32),
    ],
)
def test_a_model_inside_a_request_must_be_small_and_the_jobs_own(coordinator, data, message):
    request = measure_request(Job("j", "ab" * 32), data)
    with grpc.insecure_channel(coordinator.address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(rpc.FarmStub(channel).Measure(request))
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, message)


def test_a_job_for_a_model_that_was_never_uploaded_is_refused(coordinator):
    request = measure_request(Job("j", "../../etc/passwd"))
    with grpc.insecure_channel(coordinator.address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(rpc.FarmStub(channel).Measure(request))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_coordinator_that_is_gone_for_good_is_reported_to_waiting_clients(
    make_coordinator, tmp_path, model
):
    ended, queued = queue.Queue(), threading.Event()
    with make_coordinator(tmp_path) as coordinator:
        client = FarmClient(coordinator.address, device_wait_seconds=600, reconnect_seconds=0.5)

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
    assert "no farm answers at" in str(error)
    thread.join(30)
    client.close()


def test_an_answer_is_cached_until_a_fresh_one_is_asked_for(coordinator, scripted_worker, model):
    """The worker's answers are known: real samples of a model this small may drift, and are then not kept."""

    def measure_on_the_device(
        client: FarmClient, settings: MeasurementSettings, **options: bool
    ) -> Measurement:
        job_id = client.submit(model, Target(), settings, **options)
        lease = scripted_worker.receive_lease()
        scripted_worker.send(LeaseResult(lease.token, honest(lease.job)))
        assert scripted_worker.receive() == Acknowledgement(lease.token)
        assert client.job(job_id).state == "measured"
        return client.measure(model, Target(), settings)

    with FarmClient(coordinator.address) as client:
        first = measure_on_the_device(client, SIX_SAMPLES)
        assert (first.cached, first.latency_ms) == (True, 3.5)
        assert client.measure(model, Target({"soc": "bcm2711"}), SIX_SAMPLES) == first
        assert measure_on_the_device(client, SIX_SAMPLES, fresh=True) == first
        other = replace(SIX_SAMPLES, interval_width=0.9)
        assert measure_on_the_device(client, other) == first


def test_a_job_tells_its_story(coordinator, scripted_worker, model):
    with FarmClient(coordinator.address) as client:
        job_id = client.submit(model, Target({"soc": "bcm2711"}), SIX_SAMPLES, priority=7)
        lease = scripted_worker.receive_lease()
        scripted_worker.send(LeaseResult(lease.token, honest(lease.job)))
        assert scripted_worker.receive() == Acknowledgement(lease.token)
        (listed,) = client.jobs()
        record = client.job(job_id[:12])
        assert listed == replace(record, story=())
        assert (record.job_id, record.state, record.priority) == (job_id, "measured", 7)
        assert [entry.text for entry in record.story] == [
            "submitted for soc=bcm2711, 1 thread, delegate xnnpack, priority 7",
            "leased to board-d1 under token 1",
            "measured on board-d1: 3.5 ms",
        ]
        with pytest.raises(NoSuchJob, match="no job begins with 'nonsense'"):
            client.job("nonsense")


def test_a_detached_job_goes_on_without_its_client(coordinator, scripted_worker, model):
    with FarmClient(coordinator.address) as client:
        job_id = client.submit(model, Target(), SIX_SAMPLES)
    lease = scripted_worker.receive_lease()
    assert lease.job.job_id == job_id
    scripted_worker.send(LeaseResult(lease.token, honest(lease.job)))
    assert scripted_worker.receive() == Acknowledgement(lease.token)
    with FarmClient(coordinator.address) as client:
        assert client.job(job_id).latency_ms == 3.5


def test_a_job_can_be_cancelled_by_its_id(coordinator, scripted_worker, measuring):
    answers = measuring()
    lease = scripted_worker.receive_lease()
    with FarmClient(coordinator.address) as client:
        client.cancel(lease.job.job_id, "not needed")
    error = answers.get(timeout=30)
    assert isinstance(error, MeasurementFailed)
    assert str(error) == "the job was cancelled: not needed"
    assert scripted_worker.receive() == Revocation(lease.token, "not needed")


@pytest.mark.usefixtures("scripted_worker")
def test_an_operator_moves_a_device_through_its_standings(coordinator):
    with FarmClient(coordinator.address) as client:
        orders = [
            (DeviceOrder("board-d1", "drain", "new fan"), "board-d1 takes no jobs: new fan"),
            (DeviceOrder("board-d1", "resume"), "board-d1 is active and takes jobs"),
            (
                DeviceOrder("board-d1", "quarantine", "odd figures"),
                "board-d1 is quarantined and takes no jobs: odd figures",
            ),
        ]
        for order, answer in orders:
            assert client.order(order) == answer
        with pytest.raises(OrderRefused, match="board-d1 is connected: stop its worker first"):
            client.order(DeviceOrder("board-d1", "remove"))
        with pytest.raises(NoSuchDevice, match=r"no device is called 'pi'; the farm has board-d1"):
            client.order(DeviceOrder("pi", "drain"))


@pytest.mark.usefixtures("scripted_worker")
def test_a_second_worker_with_the_same_key_is_refused(connect_worker):
    with pytest.raises(grpc.RpcError) as caught:
        connect_worker(introduction(incarnation="clone"))
    assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert "another process is connected for device board-d1" in caught.value.details()


def test_a_worker_that_claims_anothers_id_is_refused(coordinator):
    message = convert.worker_message_to_wire(introduction("d1"))
    message.introduction.device_key = "another secret"
    with grpc.insecure_channel(coordinator.address) as channel, pytest.raises(grpc.RpcError) as caught:
        list(rpc.FleetStub(channel).Work(iter([message])))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "does not belong to the id that it claims" in caught.value.details()


def test_a_client_that_vanishes_during_an_upload_leaves_nothing(coordinator, model, tmp_path):
    sent = threading.Event()

    def chunks():
        yield pb.ModelChunk(data=model[:100])
        sent.set()
        threading.Event().wait(30)  # until the call is cancelled; then nobody asks for more

    channel = grpc.insecure_channel(coordinator.address)
    call = rpc.FarmStub(channel).UploadModel.future(chunks())
    assert sent.wait(30)
    call.cancel()
    channel.close()
    with FarmClient(coordinator.address) as client:
        assert client.devices() == ()
    models = tmp_path / "coordinator" / "models"
    while list(models.iterdir()):  # the coordinator hears of the cancellation in its own time
        threading.Event().wait(0.01)


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
