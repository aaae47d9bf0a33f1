"""Programs of the farm in processes of their own, and a worker's stream in the test's hands."""

import os
import queue
import subprocess
import sys

import grpc

from device_farm import convert
from device_farm.jobs import Acknowledgement, CoordinatorMessage, Introduction, Lease, WorkerMessage
from device_farm.rpc import farm_pb2_grpc as rpc


class ScriptedWorker:
    """A worker's stream in the test's hands."""

    def __init__(self, address: str, words: Introduction) -> None:
        self.introduction = words
        self._channel = grpc.insecure_channel(address)
        self._outbox: queue.Queue = queue.Queue()
        self._call = rpc.FleetStub(self._channel).Work(iter(self._outbox.get, None))
        self.send(words)
        self.receive()  # the welcome

    def send(self, message: WorkerMessage) -> None:
        self._outbox.put(convert.worker_message_to_wire(message))

    def receive(self) -> CoordinatorMessage:
        return convert.coordinator_message_from_wire(next(self._call))

    def receive_lease(self) -> Lease:
        """The next lease; acknowledgements before it are passed over."""
        while isinstance(message := self.receive(), Acknowledgement):
            pass
        assert isinstance(message, Lease), message
        return message

    def close(self) -> None:
        self._outbox.put(None)
        self._call.cancel()
        self._channel.close()


class Process:
    """A program of the farm in a process of its own, to be killed without a chance to say goodbye."""

    def __init__(self, *command: str) -> None:
        ready, child_end = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "device_farm", *command, "--ready-fd", str(child_end)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(child_end,),
        )
        os.close(child_end)
        with os.fdopen(ready) as pipe:
            self.said = pipe.readline().strip()
        self.pid = self._process.pid

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(30)
