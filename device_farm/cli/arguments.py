"""Options that several commands share, and how the text that they are given becomes a value.

Numbers arrive as text and are read here, so that every mistake is told alike: the option, what was found, and
what is allowed. All functions raise ValueError with such a message.
"""

import math
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from device_farm.addresses import parse_address
from device_farm.credentials import CREDENTIALS_VARIABLE
from device_farm.worker.runtimes import runtime_family

N = TypeVar("N", int, float)
C = TypeVar("C", bound=str)

FarmOption = Annotated[
    str,
    typer.Option("--farm", metavar="HOST:PORT", envvar="DEVICE_FARM", help="The coordinator's address."),
]
CredentialsOption = Annotated[
    Path | None,
    typer.Option(
        "--credentials",
        metavar="FILE",
        envvar=CREDENTIALS_VARIABLE,
        help="The file that `device-farm serve` wrote; not needed on loopback.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
RuntimesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--runtime",
        metavar="NAME=PYTHON",
        help="A further runtime, such as tflite-2.5.0=/path/to/python; may be repeated.",
    ),
]


def farm_address(text: str) -> str:
    """HOST:PORT as it was given."""
    try:
        parse_address(text)
    except ValueError as error:
        raise ValueError(f"--farm: {error}") from None
    return text


def whole_number(option: str, text: str, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``."""
    try:
        value = int(text)
    except ValueError:
        value = None
    return _bounded(option, text, value, low, high, "whole numbers")


def number(option: str, text: str, low: float, high: float, unit: str) -> float:
    """A number from ``low`` to ``high``; ``unit`` is named in the message."""
    try:
        value = float(text)
    except ValueError:
        value = None
    return _bounded(option, text, value, low, high, f"numbers of {unit}")


def _bounded(option: str, text: str, value: N | None, low: N, high: N, kind: str) -> N:
    if value is None or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{option} {text!r}: allowed are {kind} from {low:g} to {high:g}")
    return value


def one_of(option: str, text: str, allowed: tuple[C, ...]) -> C:
    """One of the ``allowed`` words."""
    for word in allowed:
        if text == word:
            return word
    raise ValueError(f"{option} {text!r}: allowed are {', '.join(allowed)}")


def pairs(option: str, texts: list[str], form: str) -> dict[str, str]:
    """``KEY=VALUE`` texts as a dict; a text without key or value, or a key given twice, is an error."""
    found: dict[str, str] = {}
    for text in texts:
        key, _, value = (part.strip() for part in text.partition("="))
        if not key or not value:
            raise ValueError(f"{option} {text!r}: expected {form}")
        if key in found:
            raise ValueError(f"{option}: {key} is given twice")
        found[key] = value
    return found


def runtimes(texts: list[str]) -> dict[str, str]:
    """Further runtimes, name -> Python. Raises RuntimeProblem for a name that none has."""
    found = pairs("--runtime", texts, "NAME=PYTHON")
    for name in found:
        runtime_family(name)
    return found


def not_empty(option: str, text: str) -> str:
    """Text with something in it."""
    if not text.strip():
        raise ValueError(f"{option} {text!r}: expected something other than blanks")
    return text
