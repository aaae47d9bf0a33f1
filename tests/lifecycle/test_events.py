"""The journal's vocabulary and its JSON."""

import json
from typing import get_args

import pytest
from event_strategies import any_event, events_of
from hypothesis import given
from hypothesis import strategies as st

from sweep.lifecycle.events import (
    EVENT_TYPES,
    Event,
    FilesRemoved,
    SweepEvent,
    TeacherEvent,
    TrialEvent,
    TrialPruned,
    from_json,
    to_json,
)
from sweep.lifecycle.trial import TRANSITIONS, TrialProposed


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
@given(data=st.data())
def test_every_event_survives_the_way_through_json(name, data):
    event = data.draw(events_of(EVENT_TYPES[name]))
    assert from_json(json.loads(json.dumps(to_json(event)))) == event


@given(any_event)
def test_the_json_holds_the_events_name_and_its_fields(event):
    record = to_json(event)
    assert record.pop("event") == type(event).__name__
    assert record == vars(event)


def test_every_event_type_has_its_name_and_every_trial_event_but_the_first_a_transition():
    kinds = (SweepEvent, TeacherEvent, TrialEvent)
    assert set(EVENT_TYPES.values()) == {event for kind in kinds for event in get_args(kind)}
    assert set(get_args(Event)) == set(EVENT_TYPES.values())
    assert set(TRANSITIONS) == set(get_args(TrialEvent)) - {TrialProposed}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "unknown event None; known: AttemptEnded, "),
        ({"event": "TrialEaten", "trial": 1}, "unknown event 'TrialEaten'"),
        ({"event": ["FilesRemoved"], "trial": 1}, "unknown event"),
        ({"event": "FilesRemoved"}, "FilesRemoved: .*'trial'"),
        ({"event": "FilesRemoved", "trial": 1, "colour": "red"}, "FilesRemoved: .*'colour'"),
        ({"event": "TrialPruned", "trial": 1, "epoch": 2, "reason": ""}, "TrialPruned: .*'partial_score'"),
    ],
)
def test_an_unknown_event_or_field_and_a_missing_field_are_errors_that_name_it(record, message):
    with pytest.raises(ValueError, match=message):
        from_json(record)


def test_reading_does_not_change_the_record():
    record = {"event": "TrialPruned", "trial": 1, "epoch": 2, "partial_score": None, "reason": "late"}
    assert from_json(record) == TrialPruned(1, 2, None, "late")
    assert record["event"] == "TrialPruned"
    assert from_json(to_json(FilesRemoved(3))) == FilesRemoved(3)
