"""What the doctor finds out: from a Raspberry Pi's files, this machine's interpreter and a real coordinator."""

import asyncio
import ctypes
import socket
import sys
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest
from machine_trees import THROTTLED, plant, raspberry_pi_4

from device_farm.coordinator.authority import open_authority
from device_farm.worker.doctor import CredentialsFound, FarmFound, examine
from device_farm.worker.inspection import (
    Question,
    ask_farm,
    available_memory_mb,
    clock_synchronised,
    find_credentials,
    find_room,
    find_runtimes,
    inspect,
)
from device_farm.worker.runtimes import RuntimeProblem


@contextmanager
def serving(*handlers: grpc.GenericRpcHandler) -> Iterator[str]:
    """The address of a gRPC server that knows these calls only."""
    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


PI_MEMORY = "MemTotal:        3884392 kB\nMemFree: 1 kB\nMemAvailable:    3145728 kB\n"


def test_a_raspberry_pi_is_inspected_with_its_own_files_and_this_interpreter(tmp_path, coordinator):
    board = raspberry_pi_4(tmp_path / "board", {"proc/meminfo": PI_MEMORY, THROTTLED: "50000\n"})
    question = Question(runtimes={}, state=tmp_path / "not" / "yet", farm=coordinator.address)
    found = asyncio.run(inspect(question, board))
    assert (found.device_class, found.profile, found.memory_mb) == ("raspberrypi-4b", "rpi4", 3072.0)
    assert found.python_version == sys.version_info[:3]
    assert (found.evidence["governor"], found.evidence["throttled"]) == ("ondemand", "0x50000")
    assert found.farm == FarmFound(coordinator.address)
    assert found.credentials is None
    (runtime,) = found.runtimes
    assert runtime.runtime.name == "tflite-2.14.0"
    assert set(runtime.references_ms) == {"none", "xnnpack"}
    assert all(first > 0 and again > 0 for first, again in runtime.references_ms.values())
    verdicts = {check.subject: check.verdict for check in examine(found)}
    assert (verdicts["governor"], verdicts["power now"], verdicts["power earlier"]) == (
        "problem",
        "ok",
        "warning",
    )


def test_a_profile_that_is_named_goes_before_the_boards_own(tmp_path):
    question = Question(runtimes={}, state=tmp_path, profile="generic")
    assert asyncio.run(inspect(question, raspberry_pi_4(tmp_path / "board"))).profile == "generic"


def test_a_python_without_interpreter_is_found_out_with_what_it_said():
    own, false = asyncio.run(find_runtimes({"tflite-2.5.0": "/bin/false"}))
    assert (own.runtime.name, own.problem) == ("tflite-2.14.0", "")
    assert (false.python, false.runtime) == ("/bin/false", None)
    assert "/bin/false" in false.problem


def test_a_python_with_another_runtime_than_named_is_found_out():
    _, other = asyncio.run(find_runtimes({"tflite-2.5.0": sys.executable}))
    assert other.problem == f"runtime tflite-2.5.0: {sys.executable} offers tflite-2.14.0 instead"


def test_the_own_runtime_named_again_is_listed_once():
    assert len(asyncio.run(find_runtimes({"tflite-2.14.0": sys.executable}))) == 1


def test_a_runtime_that_none_can_be_called_is_refused():
    with pytest.raises(RuntimeProblem, match="runtime 'fast'"):
        asyncio.run(find_runtimes({"fast": sys.executable}))


def test_memory_is_what_the_kernel_says_is_available(tmp_path):
    assert available_memory_mb(plant(tmp_path, {"proc/meminfo": PI_MEMORY})) == 3072.0
    assert available_memory_mb(raspberry_pi_4(tmp_path / "old")) is None
    assert available_memory_mb(tmp_path / "nothing") is None


def test_room_is_that_of_the_nearest_folder_there_is(tmp_path):
    free_mb, problem = find_room(tmp_path / "a" / "b")
    assert problem == ""
    assert free_mb > 0


def test_a_folder_that_cannot_be_made_is_found_out(tmp_path):
    (tmp_path / "file").write_text("x")
    assert find_room(tmp_path / "file" / "state") == (None, f"{tmp_path / 'file'} is a file, not a folder")
    assert find_room(plant(tmp_path, {}) / "file")[1] == f"{tmp_path / 'file'} is a file, not a folder"


def test_the_kernels_word_on_the_clock_agrees_with_its_status_bits():
    class Timex(ctypes.Structure):  # the beginning of struct timex, as adjtimex(2) lays it out
        _fields_ = [
            ("modes", ctypes.c_uint),
            ("offset", ctypes.c_long),
            ("freq", ctypes.c_long),
            ("maxerror", ctypes.c_long),
            ("esterror", ctypes.c_long),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_byte * 512),
        ]

    timex = Timex()
    allowed = ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) >= 0
    unsynchronised = 0x0040  # STA_UNSYNC
    assert clock_synchronised() == (not timex.status & unsynchronised if allowed else None)


def test_a_credentials_file_is_read_or_told_what_is_wrong_with_it(tmp_path):
    open_authority(tmp_path / "credentials")
    path = tmp_path / "credentials" / "worker.json"
    credentials, found = find_credentials(path)
    assert (credentials.role, found) == ("worker", CredentialsFound(str(path), role="worker"))
    path.chmod(0o644)
    problem = f"{path}: others may read it (mode 0644); run: chmod 600 {path}"
    assert find_credentials(path) == (None, CredentialsFound(str(path), problem=problem))
    assert find_credentials(None) == (None, None)


def test_an_address_where_nothing_listens_is_no_farm():
    assert ask_farm("127.0.0.1:1", None) == FarmFound(
        "127.0.0.1:1", problem="no farm answers at 127.0.0.1:1: Connection refused"
    )


def test_a_farm_elsewhere_is_not_asked_in_plain_text():
    found = ask_farm("192.0.2.1:50051", None)
    assert found.refused
    assert "192.0.2.1:50051 is on another machine, so the connection must be encrypted" in found.problem


def test_a_server_of_something_else_is_no_coordinator():
    with serving() as address:
        assert ask_farm(address, None) == FarmFound(
            address, problem=f"{address} is no coordinator: Method not found!"
        )


def test_a_server_that_sends_a_model_of_its_own_invention_is_no_coordinator():
    empty_stream = grpc.unary_stream_rpc_method_handler(lambda _request, _context: iter(()))
    handlers = {"DownloadModel": empty_stream}
    with serving(grpc.method_handlers_generic_handler("device_farm.v1.Fleet", handlers)) as address:
        assert ask_farm(address, None) == FarmFound(
            address, problem=f"{address} sent a model that does not exist: is it a coordinator?"
        )


def test_what_accepts_and_then_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        found = ask_farm(address, None, timeout_seconds=0.5)
    assert found == FarmFound(address, problem=f"{address} did not answer within 0.5 s")


def test_credentials_that_cannot_be_used_keep_the_farm_from_being_asked(tmp_path, coordinator):
    question = Question(runtimes={}, state=tmp_path, farm=coordinator.address, credentials=tmp_path / "none")
    found = asyncio.run(inspect(question))
    assert found.credentials == CredentialsFound(
        str(tmp_path / "none"), problem=f"{tmp_path / 'none'}: No such file or directory"
    )
    assert found.farm.refused
    assert found.farm.problem == "not asked, because the credentials cannot be used"
