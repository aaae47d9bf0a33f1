"""Following a journal: what the history counts, and that reading piece by piece is reading all."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_sweep import START, STEP_S, as_records, every_ending, started

from sweep.lifecycle import IllegalEvent, Journal, JournalError
from sweep.lifecycle.events import AttemptEnded, AttemptStarted, SweepEnded, SweepResumed, TrialsAdded
from sweep.report.history import Follower, SweepHistory, condition, history_of


def journal_bytes(directory: Path) -> bytes:
    with Journal(directory) as journal:
        for event in every_ending():
            journal.append(event)
    return (directory / "journal.jsonl").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return journal_bytes(tmp_path_factory.mktemp("whole"))


def test_the_history_counts_what_the_state_forgets() -> None:
    events = [
        *every_ending(),
        AttemptEnded(5, 1, "lost"),
        AttemptStarted(5, 2, 1, 2, None),
        TrialsAdded(3, "r1"),
    ]
    history = history_of(as_records(events))
    assert history == SweepHistory(
        state=history.state,
        settings=started().settings,
        first_at=START,
        last_at=START + STEP_S * (len(events) - 1),
        run_at=START,
        done_before=0,
        attempts=8,  # two for each of the trials 0 and 1, one each for 2 and 4, two for 5
        lost=1,
        crashed=1,
        epochs=11,
        training_s=11 * 9.25,
    )
    assert (history.done, history.wanted) == (5, 11)


def test_a_new_run_starts_its_own_clock_and_its_own_count_of_added_trials() -> None:
    settings = {**started().settings, "trials": 11}
    resumed = [*every_ending(), TrialsAdded(3, "r1"), SweepEnded("stopped"), SweepResumed(settings, {})]
    history = history_of(as_records(resumed))
    assert (history.done_before, history.done, history.wanted) == (5, 5, 11)
    assert history.run_at == history.last_at == START + STEP_S * (len(resumed) - 1)


@pytest.mark.parametrize(
    ("ending", "word"),
    [("finished", "finished"), ("time", "out of time"), ("stopped", "stopped"), ("error", "error")],
)
def test_a_sweep_is_in_the_condition_in_which_it_ended(ending, word: str) -> None:
    history = history_of(as_records([started(), SweepEnded(ending)]))
    assert (condition(history, running=False), condition(history, running=True)) == (word, "running")


def test_a_sweep_without_an_end_died_and_one_without_a_start_never_started() -> None:
    under_way = history_of(as_records([started()]))
    assert (condition(under_way, running=False), condition(under_way, running=True)) == ("died", "running")
    empty = SweepHistory()
    assert (condition(empty, running=False), condition(empty, running=True)) == ("never started", "starting")


@given(st.data())
def test_following_a_journal_in_any_pieces_is_reading_it_whole(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("growing")
    path = directory / "journal.jsonl"
    path.touch()
    follower = Follower(directory)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=6).map(sorted))
    for cut in [*cuts, len(whole)]:
        path.write_bytes(whole[:cut])
        expected = Follower(directory).update()
        assert follower.update() == expected
        assert len(expected.state.trials) <= 7
    assert follower.update() is follower.update()
    assert len(follower.update().state.trials) == 7


def test_a_line_that_its_writer_took_back_is_forgotten(tmp_path: Path, whole: bytes) -> None:
    lines = whole.splitlines(keepends=True)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(whole)
    follower = Follower(tmp_path)
    assert 6 in follower.update().state.trials
    path.write_bytes(b"".join(lines[:-1]))
    assert 6 not in follower.update().state.trials
    path.write_bytes(whole)
    assert 6 in follower.update().state.trials


def test_a_line_that_was_replaced_by_a_longer_one_is_read_as_it_is_now(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append(started())
    path = tmp_path / "journal.jsonl"
    follower = Follower(tmp_path)
    assert follower.update().settings["trials"] == 8
    path.unlink()
    longer = replace(started(trials=9), versions={"python": "3.11.7" * 100})
    with Journal(tmp_path) as journal:
        journal.append(longer)
    assert follower.update().settings["trials"] == 9


def test_damage_is_named_with_its_line_whenever_it_comes(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    follower = Follower(tmp_path)
    with pytest.raises(JournalError, match="No such file"):
        follower.update()
    path.write_bytes(whole)
    history = follower.update()
    path.write_bytes(whole + b"damaged\n")
    number = whole.count(b"\n") + 1
    for _ in range(2):
        with pytest.raises(JournalError, match=f"line {number} is damaged"):
            follower.update()
    path.write_bytes(whole)
    assert follower.update() == history
    sequence = number - 1
    path.write_bytes(whole + b'{"sequence":%d,"time":1.0,"event":"FilesRemoved","trial":99}\n' % sequence)
    with pytest.raises(IllegalEvent, match="trial 99, which was never proposed"):
        follower.update()
