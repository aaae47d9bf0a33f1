"""Requests to a running sweep: written whole, read in order, carried out once, never a danger to the reader."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.engine.control import (
    AddTrials,
    StopRequest,
    answered,
    ask,
    asked_at,
    forget_stops,
    leftovers,
    new_id,
    path_of,
    pending,
    waiting,
    waits,
)

ID = "00001700000000000000-0123abcd"


def made_at(seconds: float) -> str:
    return new_id(lambda: seconds)


def test_a_request_is_read_as_it_was_asked_until_it_is_answered(tmp_path: Path) -> None:
    stop, more = StopRequest(made_at(1_700_000_000.0)), AddTrials(made_at(1_700_000_001.0), 12)
    ask(tmp_path, stop)
    ask(tmp_path, more)
    assert pending(tmp_path) == waiting(tmp_path) == (stop, more)
    answered(tmp_path, stop)
    assert (waits(tmp_path, stop), waits(tmp_path, more)) == (False, True)
    assert pending(tmp_path) == (more,)
    answered(tmp_path, more)
    answered(tmp_path, more)
    assert pending(tmp_path) == ()
    assert list((tmp_path / "requests").iterdir()) == []


@given(st.lists(st.floats(0, 4e9), max_size=8, unique_by=lambda at: int(at * 1e6)))
def test_requests_come_in_the_order_in_which_they_were_made(tmp_path_factory, times: list[float]) -> None:
    root = tmp_path_factory.mktemp("sweep")
    for number, at in enumerate(times, start=1):
        ask(root, AddTrials(made_at(at), number))
    ordered = [number for _, number in sorted(zip(times, range(1, len(times) + 1), strict=True))]
    assert [request.trials for request in pending(root)] == ordered


def test_ids_are_never_the_same_even_in_the_same_microsecond() -> None:
    ids = {made_at(1_700_000_000.0) for _ in range(100)}
    assert len(ids) == 100
    assert {asked_at(StopRequest(id)) for id in ids} == {1_700_000_000.0}


def test_a_sweep_that_nobody_asked_anything_has_no_requests(tmp_path: Path) -> None:
    assert pending(tmp_path) == ()
    assert leftovers(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


def test_asking_a_sweep_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ask(tmp_path / "none", StopRequest(new_id()))


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("README", b"what goes here?", "Expecting value"),
        (f"{ID}.json", b"", "Expecting value"),
        (f"{ID}.json", b"\xff\xfe", "can't decode byte"),
        (f"{ID}.json", b"[" * 100_000, "recursion"),
        (f"{ID}.json", b"[]", "not a JSON object but list"),
        (f"{ID}.json", b'{"request":"pause","id":"1"}', "request 'pause'; known: stop, add_trials"),
        (f"{ID}.json", b'{"request":["stop"]}', "known: stop, add_trials"),
        (f"{ID}.json", b'{"request":"stop"}', "missing 1 required positional argument: 'id'"),
        (
            f"{ID}.json",
            f'{{"request":"stop","id":"{ID}","by":1}}'.encode(),
            "unexpected keyword argument 'by'",
        ),
        (f"{ID}.json", b'{"request":"stop","id":"../../x"}', "id '../../x' is not of the form"),
        (f"{ID}.json", b'{"request":"stop","id":7}', "id 7 is not of the form"),
        ("other.json", f'{{"request":"stop","id":"{ID}"}}'.encode(), "the file is not named after its id"),
        (f"{ID}.json", f'{{"request":"add_trials","id":"{ID}","trials":0}}'.encode(), "trials 0 is not"),
        (
            f"{ID}.json",
            f'{{"request":"add_trials","id":"{ID}","trials":true}}'.encode(),
            "trials True is not",
        ),
        (f"{ID}.json", f'{{"request":"add_trials","id":"{ID}","trials":1.5}}'.encode(), "trials 1.5 is not"),
    ],
)
def test_what_is_no_request_is_reported_once_and_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes, why: str
) -> None:
    good = AddTrials(made_at(4e9), 3)
    ask(tmp_path, good)
    stray = tmp_path / "requests" / name
    stray.write_bytes(content)
    assert waiting(tmp_path) == (good,)
    assert leftovers(tmp_path) == (stray,)
    assert stray.exists()
    with caplog.at_level(logging.WARNING):
        assert pending(tmp_path) == (good,)
        assert pending(tmp_path) == (good,)
    assert [record.getMessage().partition(" is no request")[0] for record in caplog.records] == [str(stray)]
    assert why in caplog.text
    refused = stray.with_name(f"{name}.refused")
    assert refused.read_bytes() == content
    assert not stray.exists()
    assert leftovers(tmp_path) == (refused,)


def test_folders_and_pipes_are_set_aside_without_reading_them(tmp_path: Path) -> None:
    folder = tmp_path / "requests"
    (folder / "folder.json").mkdir(parents=True)
    os.mkfifo(folder / "pipe.json")  # to read it would wait for a writer for ever
    assert pending(tmp_path) == ()
    assert sorted(path.name for path in folder.iterdir()) == ["folder.json.refused", "pipe.json.refused"]


def test_requests_that_are_no_folder_do_not_stop_a_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "requests").write_text("a file")
    assert pending(tmp_path) == ()
    assert "Not a directory" in caplog.text


def test_a_draft_that_a_kill_left_behind_is_no_request(tmp_path: Path) -> None:
    request = StopRequest(new_id())
    ask(tmp_path, request)
    draft = path_of(tmp_path, request).rename(tmp_path / "requests" / f".{request.id}.tmp")
    assert pending(tmp_path) == ()
    assert leftovers(tmp_path) == (draft,)


def test_a_new_run_forgets_the_stops_of_earlier_ones_and_nothing_else(tmp_path: Path) -> None:
    stale, more, fresh = StopRequest(made_at(99.0)), AddTrials(made_at(99.5), 5), StopRequest(made_at(100.0))
    for request in (stale, more, fresh):
        ask(tmp_path, request)
    forget_stops(tmp_path, before=100.0)
    assert pending(tmp_path) == (more, fresh)
