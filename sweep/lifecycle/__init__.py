"""The trial lifecycle: events, the pure state machine over them, and the journal that keeps them."""

from sweep.lifecycle.complete import CompleteTrials, Finished
from sweep.lifecycle.events import Event
from sweep.lifecycle.journal import Journal, JournalError, Record, SweepLocked, read_journal
from sweep.lifecycle.state import SweepState, fold, read_state, replay
from sweep.lifecycle.teacher import Teacher
from sweep.lifecycle.trial import EpochRecord, IllegalEvent, Trial, TrialState

__all__ = [
    "CompleteTrials",
    "EpochRecord",
    "Event",
    "Finished",
    "IllegalEvent",
    "Journal",
    "JournalError",
    "Record",
    "SweepLocked",
    "SweepState",
    "Teacher",
    "Trial",
    "TrialState",
    "fold",
    "read_journal",
    "read_state",
    "replay",
]
