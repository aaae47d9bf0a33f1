"""What can be wrong with a space or an assignment: each problem names the place, what is there, what may be."""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_LONGEST_VALUE = 80


@dataclass(frozen=True)
class Problem:
    """One thing to correct.

    Attributes:
        file: the file as the person named it.
        key_path: dotted path of the value, a ``line L, column C`` of the text, or empty for the whole file.
        found: what stands there.
        allowed: what may stand there.
    """

    file: str
    key_path: str
    found: str
    allowed: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.key_path}" if self.key_path else self.file
        return _one_line(f"{place}: found {self.found}; allowed: {self.allowed}")


class SpaceError(ValueError):
    """A space file, or an assignment to its parameters, is wrong; ``problems`` lists everything found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type["SpaceError"], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class ImpossibleCandidate(ValueError):
    """Every value is in its domain, but the network or recipe they make together cannot exist: ask again."""

    def __init__(self, reason: str, assignment: Mapping[str, object]) -> None:
        self.reason = reason
        self.assignment = dict(assignment)
        super().__init__(f"impossible candidate: {reason}")

    def __reduce__(self) -> tuple[type["ImpossibleCandidate"], tuple[str, dict[str, object]]]:
        return type(self), (self.reason, self.assignment)


def show(value: object) -> str:
    """A value as a line of YAML would hold it, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def _one_line(text: str) -> str:
    """Control characters (of odd keys and file names) as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_of(names: Iterable[str], found: str | None = None) -> str:
    """List what is allowed; when ``found`` looks like a misspelling of one of them, say which."""
    names = list(names)
    close = difflib.get_close_matches(found, names, n=1) if found is not None else []
    hint = f" (did you mean {close[0]}?)" if close else ""
    return (", ".join(names) or "no keys") + hint
