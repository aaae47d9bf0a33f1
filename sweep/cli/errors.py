"""What a person sees when something is wrong: the message, no traceback, and an exit code that means something."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

BAD_INPUT = 2
"""Exit code when the person must change something: a file, an option, an address."""

FAILURE = 1
"""Exit code when something broke that was right to ask for."""

# Named rather than imported: importing all of them would make `sweep score` take seconds.
_EXIT_CODES = {
    "sweep.space.problems.SpaceError": BAD_INPUT,
    "sweep.data.errors.DatasetError": BAD_INPUT,
    "sweep.engine.run.RunError": BAD_INPUT,
    "sweep.engine.target.TargetError": BAD_INPUT,
    "sweep.lifecycle.journal.JournalError": BAD_INPUT,
    "sweep.lifecycle.journal.SweepLocked": BAD_INPUT,
    "sweep.export.errors.ContractError": BAD_INPUT,
    "sweep.cli.errors.UsageError": BAD_INPUT,
    "sweep.export.errors.ExportError": FAILURE,
    "sweep.judging.metrics.NonFinitePrediction": FAILURE,
    "sweep.engine.ray_runtime.RayUnavailable": FAILURE,
    "device_farm.types.FarmError": FAILURE,
    "builtins.OSError": FAILURE,
}


class UsageError(Exception):
    """A wrong call of the command line; the message names what was found and what is allowed."""


@contextmanager
def explained_errors() -> Iterator[None]:
    """Turn the errors that people can act on into one message on stderr and an exit code."""
    try:
        yield
    except Exception as error:
        code = exit_code(type(error))
        if code is None:
            raise
        fail(str(error), code)


def exit_code(kind: type[BaseException]) -> int | None:
    """The exit code for an error of this class or of a class that it derives from; None: a bug of ours."""
    names = (f"{cls.__module__}.{cls.__qualname__}" for cls in kind.__mro__)
    return next((_EXIT_CODES[name] for name in names if name in _EXIT_CODES), None)


def fail(message: str, code: int) -> NoReturn:
    """Print ``message`` to stderr and end the program with ``code``."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)
