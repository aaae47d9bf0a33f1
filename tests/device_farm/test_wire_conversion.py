from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_farm import convert
from device_farm.jobs import (
    Acknowledgement,
    Cancelled,
    DeviceOrder,
    Failed,
    Heartbeat,
    Infeasible,
    Introduction,
    Job,
    Lease,
    LeaseResult,
    NoDevice,
    Queued,
    Registration,
    Revocation,
    Running,
    RunReport,
    Welcome,
    device_id_of,
)
from device_farm.rpc import farm_pb2 as pb
from device_farm.rpc.generate import GENERATED, REPOSITORY, generate
from device_farm.types import (
    STANDINGS,
    STOP_REASONS,
    Device,
    JobRecord,
    Measurement,
    MeasurementSettings,
    OperatorTime,
    Reference,
    Runtime,
    StoryEntry,
    Target,
)

text = st.text(max_size=8)
tokens = st.integers(1, 2**40)
name = st.text("abc", min_size=1, max_size=4)
times = st.lists(st.floats(0, 1e6), max_size=4).map(tuple)
labels = st.dictionaries(text, text, max_size=3)
delegate = st.sampled_from(["none", "xnnpack"])
evidence = st.dictionaries(
    text,
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | text | times,
)
moments = st.floats(0, 1e10)
report_fields = {
    "model_sha256": text,
    "runtime": text,
    "runtime_version": text,
    "threads": st.integers(1, 64),
    "delegate": delegate,
    "samples_ms": times,
    "warmup_ms": times,
    "cpu_ms": times,
    "stopped_by": st.sampled_from(STOP_REASONS),
    "measured_at": moments,
    "evidence": evidence,
    "operators": st.lists(
        st.builds(OperatorTime, st.integers(0, 99), text, text, st.floats(0, 9)), max_size=2
    ).map(tuple),
}
reports = st.builds(RunReport, **report_fields, reference_before_ms=times, reference_after_ms=times)


@st.composite
def measurements(draw):
    interval_ms = draw(st.none() | st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)))
    return draw(
        st.builds(
            Measurement,
            **report_fields,
            latency_ms=st.floats(0, 1e6),
            interval_ms=st.just(interval_ms),
            stable=st.just(interval_ms is not None),
            effective_samples=st.floats(0, 1e6),
            device_id=text,
            device_name=text,
            device_class=text,
            emulated=st.booleans(),
            profile=text,
            cached=st.booleans(),
        )
    )


infeasible = st.builds(Infeasible, text)
failed = st.builds(Failed, text, st.booleans())
targets = st.builds(Target, labels, text, st.integers(1, 64), delegate)
jobs = st.builds(
    Job,
    job_id=name,
    model_sha256=text,
    target=targets,
    settings=st.builds(MeasurementSettings, st.floats(0.001, 1), st.integers(6, 9), st.integers(9, 20)),
    priority=st.integers(-5, 5),
    device_wait_seconds=st.floats(0, 100),
    fresh=st.booleans(),
    profile_operators=st.booleans(),
    detached=st.booleans(),
)
device_fields = {
    "device_id": name,
    "name": name,
    "device_class": name,
    "labels": labels,
    "facts": labels,
    "runtimes": st.lists(
        st.builds(Runtime, text, text, st.lists(delegate).map(tuple)), min_size=1, max_size=2
    ).map(tuple),
    "emulated": st.booleans(),
    "profile": text,
}
registrations = st.builds(
    Registration, **device_fields, references_ms=st.dictionaries(text, times, max_size=2)
)
devices = st.builds(
    Device,
    **device_fields,
    state=st.sampled_from(["idle", "busy", "cooling", "offline"]),
    standing=st.sampled_from(STANDINGS),
    standing_reason=text,
    references=st.dictionaries(text, st.builds(Reference, *[st.floats(0, 9)] * 3), max_size=2),
)
records = st.builds(
    JobRecord,
    job_id=name,
    state=text,
    submitted_at=moments,
    model_sha256=text,
    target=targets,
    priority=st.integers(-5, 5),
    latency_ms=st.none() | st.floats(0, 9),
    message=text,
    story=st.lists(st.builds(StoryEntry, moments, text), max_size=2).map(tuple),
)


@st.composite
def introductions(draw):
    known, key = draw(registrations), draw(text)
    known = replace(known, device_id=device_id_of(key))
    return Introduction(known, key, draw(name), draw(st.lists(tokens, max_size=2).map(tuple)))


outcomes = reports | infeasible | failed


@given(jobs)
def test_jobs_survive_the_wire(job):
    assert convert.job_from_wire(pb.Job.FromString(convert.job_to_wire(job).SerializeToString())) == job
    assert convert.job_from_bytes(convert.job_to_bytes(job)) == job


@given(registrations)
def test_registrations_survive_the_database(registration):
    assert convert.registration_from_bytes(convert.registration_to_bytes(registration)) == registration


@given(records)
def test_job_records_survive_the_wire(record):
    assert convert.record_from_wire(convert.record_to_wire(record)) == record


@given(st.builds(DeviceOrder, text, st.sampled_from(["drain", "resume", "quarantine", "remove"]), text))
def test_orders_survive_the_wire(order):
    assert convert.order_from_wire(convert.order_to_wire(order)) == order


@given(
    st.builds(Queued, text)
    | st.builds(Running, text)
    | measurements()
    | infeasible
    | failed
    | st.builds(NoDevice, text)
    | st.builds(Cancelled, text)
)
def test_updates_survive_the_wire(update):
    assert convert.update_from_wire(convert.update_to_wire(update)) == update
    assert convert.update_from_bytes(convert.update_to_bytes(update)) == update


@given(
    introductions()
    | st.builds(Heartbeat, st.lists(tokens).map(tuple))
    | st.builds(LeaseResult, tokens, outcomes)
)
def test_worker_messages_survive_the_wire(message):
    assert convert.worker_message_from_wire(convert.worker_message_to_wire(message)) == message


@given(
    st.builds(Welcome, st.floats(0, 9), st.floats(0, 9))
    | st.builds(Lease, tokens, jobs, st.none() | st.binary(min_size=1, max_size=9))
    | st.builds(Acknowledgement, tokens)
    | st.builds(Revocation, tokens, text)
)
def test_coordinator_messages_survive_the_wire(message):
    assert convert.coordinator_message_from_wire(convert.coordinator_message_to_wire(message)) == message


@given(st.lists(devices, max_size=3).map(tuple))
def test_devices_survive_the_wire(found):
    assert convert.devices_from_wire(convert.devices_to_wire(found)) == found


@given(st.binary(max_size=100).map(lambda data: data * 40_000))
def test_chunks_hold_the_bytes_in_order_and_in_small_messages(data):
    chunks = [chunk.data for chunk in convert.chunks_to_wire(data)]
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= 1024 * 1024


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (convert.job_from_wire, pb.Job(job_id="j", target=pb.Target(threads=1, delegate="gpu"))),
        (convert.job_from_wire, pb.Job(job_id="j", target=pb.Target(threads=0, delegate="none"))),
        (convert.job_from_wire, pb.Job(job_id="j")),
        (convert.update_from_wire, pb.JobUpdate()),
        (convert.worker_message_from_wire, pb.WorkerMessage()),
        (convert.worker_message_from_wire, pb.WorkerMessage(introduction=pb.Introduction())),
        (convert.order_from_wire, pb.DeviceOrder(device="d", action="explode")),
        (convert.worker_message_from_wire, pb.WorkerMessage(result=pb.LeaseResult(token=1))),
        (convert.coordinator_message_from_wire, pb.CoordinatorMessage()),
    ],
)
def test_messages_that_make_no_sense_are_refused(read, message):
    with pytest.raises(ValueError):  # noqa: PT011  (each in its own words)
        read(message)


def test_the_committed_code_is_what_the_definitions_generate(tmp_path: Path):
    generate(tmp_path)
    for file in GENERATED:
        fresh = (tmp_path / "device_farm" / "rpc" / file).read_text()
        assert (REPOSITORY / "device_farm" / "rpc" / file).read_text() == fresh, f"regenerate {file}"


def test_proto_holds_only_definitions():
    files = [path for path in (REPOSITORY / "proto").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".proto"}


def test_protobuf_is_known_to_the_converter_and_the_services_only():
    package = REPOSITORY / "device_farm"
    found = {
        str(path.relative_to(package)) for path in package.rglob("*.py") if "farm_pb2 as" in path.read_text()
    }
    shells = {
        "client.py",
        "coordinator/services.py",
        "worker/downloads.py",
        "worker/inspection.py",
        "worker/worker.py",
    }
    assert {name for name in found if not name.startswith("convert/")} == {*shells, "rpc/farm_pb2_grpc.py"}
