"""The publisher: every projection gets everything, each on its own, and files go only once all have seen why."""

import threading
from collections.abc import Callable, Sequence

import pytest

from sweep.engine.publishing import Change, Publisher
from sweep.lifecycle import Record, SweepState, fold
from sweep.tracking.agreement import agreement
from sweep.tracking.readers import read_mlflow, read_optuna

WAIT_S = 60.0


def states_after(records: Sequence[Record]) -> list[Change]:
    state, changes = SweepState(), []
    for record in records:
        state = fold(state, record.event, record.time)
        changes.append((state, record))
    return changes


class Remembering:
    """Keeps the sequences it is told, a list per call; waits at ``gate`` before each."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.seconds = 0.25
        self.problem: str | None = None
        self.calls: list[list[int]] = []
        self.closed = False
        self._gate = gate

    def catch_up(self, records: Sequence[Record]) -> None:
        self.calls.append([record.sequence for record in records])

    def apply_all(self, changes: Sequence[Change]) -> None:
        if self._gate is not None:
            assert self._gate.wait(WAIT_S)
        if changes:
            self.calls.append([record.sequence for _, record in changes])

    def close(self) -> None:
        self.closed = True


def opening(projection: Remembering, failures: int = 0) -> Callable[[], Remembering]:
    left = [failures]

    def make() -> Remembering:
        if left[0]:
            left[0] -= 1
            raise ConnectionError("nobody answers")
        return projection

    return make


def sequences(projection: Remembering) -> list[int]:
    return [sequence for call in projection.calls for sequence in call]


def test_every_projection_gets_every_record_once_and_in_order(records):
    first, second = Remembering(), Remembering()
    publisher = Publisher({"one": opening(first), "two": opening(second)}, records[:3])
    publisher.start(lambda _: None)
    for state, record in states_after(records)[3:]:
        publisher(state, record)
    assert publisher.close(WAIT_S) == ()
    for projection in (first, second):
        assert projection.calls[0] == [0, 1, 2]
        assert sequences(projection) == list(range(len(records)))
        assert projection.closed
    assert publisher.seconds == {"one": 0.25, "two": 0.25}


def test_a_slow_projection_holds_up_nobody_and_gets_what_waited_in_one_go(records):
    gate = threading.Event()
    slow, quick = Remembering(gate), Remembering()
    publisher = Publisher({"slow": opening(slow), "quick": opening(quick)}, ())
    changes = states_after(records)
    seen = threading.Event()
    publisher.start(lambda _: seen.set())
    publisher(*changes[0])
    for change in changes[1:]:
        publisher(*change)
    publisher.catch_up(0.0)
    while sequences(quick) != list(range(len(records))):
        assert not seen.wait(0.05)  # nothing is removed before the slow one has seen why
    gate.set()
    assert publisher.close(WAIT_S) == ()
    assert sequences(slow) == list(range(len(records)))
    assert len(slow.calls) <= 3  # opening, at most one batch under way, and the rest
    assert seen.is_set()


def test_housekeeping_sees_the_last_state_and_never_goes_back(records):
    states: list[SweepState] = []
    projections = [Remembering(), Remembering()]
    publisher = Publisher({str(i): opening(p) for i, p in enumerate(projections)}, ())
    publisher.start(states.append)
    changes = states_after(records)
    for change in changes:
        publisher(*change)
    publisher.catch_up(WAIT_S)
    assert states[-1] is changes[-1][0]
    order = [state for state, _ in changes]
    positions = [order.index(state) for state in states]
    assert positions == sorted(positions)
    publisher.close(WAIT_S)


def test_without_projections_files_are_still_removed(records):
    states: list[SweepState] = []
    publisher = Publisher({}, ())
    publisher.start(states.append)
    changes = states_after(records)
    publisher(*changes[0])
    publisher.catch_up(WAIT_S)
    assert states == [changes[0][0]]
    assert publisher.close(WAIT_S) == ()


def test_a_store_that_does_not_open_fails_alone_with_one_warning(records, caplog):
    fine = Remembering()
    publisher = Publisher({"broken": opening(Remembering(), failures=10), "fine": opening(fine)}, records[:1])
    publisher.start(lambda _: None)
    for state, record in states_after(records)[1:]:
        publisher(state, record)
    assert publisher.close(WAIT_S) == ("broken",)
    assert sequences(fine) == list(range(len(records)))
    warnings = [record.getMessage() for record in caplog.records]
    assert warnings == [
        "broken cannot be written; the sweep goes on, and a resume of it catches up: nobody answers"
    ]


def test_a_store_that_opens_late_gets_the_whole_journal(records):
    late = Remembering()
    publisher = Publisher({"late": opening(late, failures=1)}, records[:5])
    publisher.start(lambda _: None)
    for state, record in states_after(records)[5:]:
        publisher(state, record)
    assert publisher.close(WAIT_S) == ()
    assert sequences(late) == list(range(len(records)))


def test_what_a_projection_could_not_send_makes_it_incomplete(records):
    behind = Remembering()
    behind.problem = "the database is locked"
    publisher = Publisher({"behind": opening(behind), "fine": opening(Remembering())}, records)
    publisher.start(lambda _: None)
    assert publisher.close(WAIT_S) == ("behind",)


@pytest.mark.parametrize("cut", [0, 9, 30])
def test_mlflow_and_optuna_follow_a_sweep_and_its_resume_to_the_end(place, records, cut):
    changes = states_after(records)
    for earlier, now in (((), changes[:cut]), (records[:cut], changes[cut:])):
        publisher = Publisher({"MLflow": place.projection, "Optuna": place.optuna_projection}, earlier)
        publisher.start(lambda _: None)
        for state, record in now:
            publisher(state, record)
        assert publisher.close(WAIT_S) == ()
        assert all(seconds > 0 for seconds in publisher.seconds.values()) or not now
    started = records[0].event
    final = changes[-1][0]
    assert agreement(final, read_mlflow(place.uri, started), read_optuna(place.optuna_url, started)) == ()
