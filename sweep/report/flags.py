"""What a flag of a complete trial means, in a letter, in words and in a sentence."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sweep.report.text import one_line


@dataclass(frozen=True)
class Flag:
    """How a flag is shown: ``mark`` in a table, ``words`` in a log, ``legend`` below the table."""

    mark: str
    words: str
    legend: str


FLAGS: Final[Mapping[str, Flag]] = {
    "latency_moved": Flag(
        mark="m",
        words="latency moved with training: the final one counts",
        legend="latency intervals before and after training disagree; the one after counts",
    ),
}


def flag_marks(flags: Iterable[str]) -> str:
    """Such as ``m``; a flag that this version does not know stands there by its name."""
    return " ".join(FLAGS[flag].mark if flag in FLAGS else one_line(flag) for flag in flags)


def flag_words(flags: Iterable[str]) -> str:
    """What the flags say, in a row."""
    return ", ".join(FLAGS[flag].words if flag in FLAGS else one_line(flag) for flag in flags)


def flag_legend(flags: Iterable[str]) -> Iterator[str]:
    """A line for each known flag among ``flags``."""
    among = set(flags)
    return (f"{flag.mark}: {flag.legend}" for name, flag in FLAGS.items() if name in among)
