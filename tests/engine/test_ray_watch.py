"""A watch over servers: here processes and ports of the test's own."""

import os
import queue
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sweep.engine.ray_watch import RayWatch

PATIENCE_S = 30.0


@pytest.fixture
def server() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_the_end_of_a_process_is_told_once_with_its_name(server: subprocess.Popen[bytes]) -> None:
    told: queue.Queue[str] = queue.Queue()
    watch = RayWatch(told.put, processes={"me": os.getpid(), "gcs_server": server.pid}).start()
    server.kill()
    assert told.get(timeout=PATIENCE_S) == f"Ray's gcs_server (process {server.pid}) ended"
    watch.close()
    assert told.empty()


def test_a_process_that_is_gone_already_is_told_too(server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.wait()
    told: queue.Queue[str] = queue.Queue()
    RayWatch(told.put, processes={"raylet": server.pid}).start()
    assert told.get(timeout=PATIENCE_S) == f"Ray's raylet (process {server.pid}) ended"


def test_nothing_is_told_after_the_watch_is_closed(server: subprocess.Popen[bytes]) -> None:
    told: queue.Queue[str] = queue.Queue()
    watch = RayWatch(told.put, processes={"gcs_server": server.pid}).start()
    watch.close()
    server.kill()
    server.wait()
    assert told.empty()


def test_a_watch_may_be_closed_by_what_it_calls_and_again_after_that(server: subprocess.Popen[bytes]) -> None:
    told: queue.Queue[str] = queue.Queue()

    def close_and_tell(reason: str) -> None:
        watch.close()
        told.put(reason)

    watch = RayWatch(close_and_tell, processes={"gcs_server": server.pid})
    server.kill()
    watch.start()
    assert "gcs_server" in told.get(timeout=PATIENCE_S)
    watch.close()


def test_a_place_that_answers_no_more_is_gone_after_a_while() -> None:
    told: queue.Queue[str] = queue.Queue()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        watch = RayWatch(told.put, places={"Ray's head": (host, port)}, check_s=0.01, patience_s=0.2).start()
        with listener.accept()[0]:
            pass
        with listener.accept()[0]:  # it looked twice, and all is well
            assert told.empty()
    assert told.get(timeout=PATIENCE_S) == f"Ray's head at {host}:{port} does not answer any more"
    watch.close()


def test_a_place_that_comes_back_in_time_is_not_gone() -> None:
    told: queue.Queue[str] = queue.Queue()
    listener = socket.create_server(("127.0.0.1", 0))
    place = listener.getsockname()
    watch = RayWatch(told.put, places={"Ray's head": place}, check_s=0.01, patience_s=PATIENCE_S).start()
    listener.accept()[0].close()
    listener.close()
    with socket.create_server(place) as back:
        back.accept()[0].close()
        back.accept()[0].close()
        watch.close()
    assert told.empty()
