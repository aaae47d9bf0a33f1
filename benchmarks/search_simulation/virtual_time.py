"""Virtual time: processes that take turns, GPUs that cost, farm devices that queue.

A process is a generator that yields what it waits for. Its GPU-seconds count against a budget when they are
granted; what the budget cannot pay is refused by throwing `OutOfBudget` into the process, which ends it.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

WORKERS: Final = 4
"""GPUs."""

DEVICES: Final = 3
"""Boards of the farm."""


class OutOfBudget(Exception):
    """The GPU-seconds asked for are more than what is left."""


@dataclass(frozen=True)
class UseGpu:
    """Compute for ``seconds``, which are paid at once."""

    seconds: float


@dataclass(frozen=True)
class UseBoard:
    """Have a board for ``seconds``, once one is free; costs nothing."""

    seconds: float


@dataclass(frozen=True)
class WaitForChange:
    """Go on once anything has happened."""


Request = UseGpu | UseBoard | WaitForChange
Process = Generator[Request, None, None]


class Simulation:
    """One machine room with a budget of GPU-seconds.

    Attributes:
        now: seconds since the start.
        granted_s: GPU-seconds paid so far, those of epochs under way included; never above the budget.
    """

    def __init__(self, budget_s: float, devices: int = DEVICES) -> None:
        self.budget_s = budget_s
        self.now = 0.0
        self.granted_s = 0.0
        self._free_boards = devices
        self._queue: deque[tuple[float, Process]] = deque()
        self._events: list[tuple[float, int, UseGpu | UseBoard, Process]] = []
        self._order = itertools.count()
        self._waiting: list[Process] = []
        self._computing: dict[int, float] = {}

    @property
    def spent_s(self) -> float:
        """GPU-seconds spent up to now; of those under way, only what has passed."""
        return self.granted_s - sum(max(0.0, end - self.now) for end in self._computing.values())

    @property
    def left_s(self) -> float:
        """GPU-seconds that can still be granted."""
        return self.budget_s - self.granted_s

    def start(self, process: Process) -> None:
        """Let ``process`` run up to its first request."""
        self._advance(process)

    def run(self) -> None:
        """Go on until nothing is under way any more, or nothing is trained: three times the time that is needed.

        A search that turns every candidate away at admission keeps the boards busy and spends no GPU time.
        """
        deadline = 3 * self.budget_s / WORKERS
        while self._events and self._events[0][0] <= deadline:
            self.now, order, request, process = heapq.heappop(self._events)
            if isinstance(request, UseBoard):
                self._release_board()
            else:
                del self._computing[order]
            self._advance(process)
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for process in waiting:
            self._advance(process)

    def _advance(self, process: Process) -> None:
        try:
            request = next(process)
        except StopIteration:
            return
        if isinstance(request, UseGpu) and request.seconds > self.left_s:
            with suppress(StopIteration, OutOfBudget):
                process.throw(OutOfBudget())
            return
        self._serve(request, process)

    def _serve(self, request: Request, process: Process) -> None:
        match request:
            case UseGpu(seconds):
                self._computing[self._schedule(request, seconds, process)] = self.now + seconds
                self.granted_s += seconds
            case UseBoard(seconds):
                if self._free_boards:
                    self._free_boards -= 1
                    self._schedule(request, seconds, process)
                else:
                    self._queue.append((seconds, process))
            case WaitForChange():
                self._waiting.append(process)

    def _schedule(self, request: UseGpu | UseBoard, seconds: float, process: Process) -> int:
        order = next(self._order)
        heapq.heappush(self._events, (self.now + seconds, order, request, process))
        return order

    def _release_board(self) -> None:
        self._free_boards += 1
        if self._queue:
            seconds, process = self._queue.popleft()
            self._serve(UseBoard(seconds), process)
