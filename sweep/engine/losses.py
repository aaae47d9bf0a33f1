"""Attempts that end without a result: what Ray's message says in plain words, and when to give up."""

import re
from dataclasses import dataclass

MAX_CRASHES = 2
"""Attempts of a training that may crash before it has failed."""

MAX_LOSSES = 5
"""Attempts in a row that may be lost without one more epoch before the training, maybe their cause, has failed."""


@dataclass(frozen=True)
class Ending:
    """How an attempt's process ended without a result.

    Attributes:
        lost: it was taken away (killed, out of memory, its node gone), which says nothing against the attempt;
            False if it failed by itself.
        reason: on one line.
    """

    lost: bool
    reason: str


_LOSSES = (
    (r"running low on memory", "the training process was killed: its node ran out of memory"),
    (r"node has died|node has crashed", "the node died"),
    (r"unavailable", "the training process cannot be reached: it, its node or the network is gone"),
    (r"worker process has died|died unexpectedly|actor is dead", "the training process was killed or died"),
)
_FAILED = re.compile(r"error raised in its creation task|Traceback \(most recent call last\)")
_DETAILS = (
    (re.compile(r"(?:\bip: |\(IP: )([\w.:]+)"), "on"),
    (re.compile(r"^\s*pid: (\d+)", re.MULTILINE), "process"),
)
_MEMORY = re.compile(r"was ([\d.]+GB) used / ([\d.]+GB) limit")
_LENGTH = 2000


def given_up(crashes: int, losses: int, reason: str) -> str | None:
    """Why a training is not tried again, if it is not; ``reason`` is that of its latest attempt's end."""
    if losses > MAX_LOSSES:
        return f"lost {losses} times in a row: {reason}"
    return reason if crashes > MAX_CRASHES else None


def how_it_ended(message: str) -> Ending:
    """Read ``message``, the text of Ray's error; an empty or unknown one is a loss with these words."""
    if _FAILED.search(message):
        return Ending(False, _tail(message))
    for pattern, words in _LOSSES:
        if re.search(pattern, message):
            return Ending(True, words + _details(message))
    return Ending(True, _tail(message) or "the training process ended without a result")


def _details(message: str) -> str:
    """Where it was, as far as Ray tells."""
    found = [f"{word} {match[1]}" for pattern, word in _DETAILS if (match := pattern.search(message))]
    if memory := _MEMORY.search(message):
        found.append(f"{memory[1]} of {memory[2]} used")
    return f" ({', '.join(found)})" if found else ""


def _tail(message: str) -> str:
    return " ".join(message.split())[-_LENGTH:]
