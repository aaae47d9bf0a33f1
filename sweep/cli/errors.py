"""What a person sees when something is wrong: the message, no traceback, and an exit code that means something."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer

from sweep.usage import UsageError

__all__ = [
    "BAD_INPUT",
    "EXIT_CODES",
    "FAILURE",
    "INTERRUPTED",
    "TERMINATED",
    "UsageError",
    "exit_code",
    "explain",
    "explained_errors",
    "fail",
]

BAD_INPUT = 2
"""Exit code when the person must change something: a file, an option, an address."""

FAILURE = 1
"""Exit code when something broke that was right to ask for."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the signal's number."""

TERMINATED = 143
"""Exit code after SIGTERM, likewise."""

# Named rather than imported: importing all of them would make `sweep score` take seconds.
EXIT_CODES = {
    "sweep.usage.UsageError": BAD_INPUT,
    "sweep.space.problems.SpaceError": BAD_INPUT,
    "sweep.data.dataset.DatasetError": BAD_INPUT,
    "sweep.engine.run.RunError": BAD_INPUT,
    "sweep.engine.target.TargetError": BAD_INPUT,
    "sweep.lifecycle.journal.JournalError": BAD_INPUT,
    "sweep.lifecycle.journal.SweepLocked": BAD_INPUT,
    "sweep.lifecycle.trial.IllegalEvent": BAD_INPUT,
    "sweep.export.errors.ContractError": BAD_INPUT,
    "sweep.export.errors.ExportError": FAILURE,
    "sweep.models.describe_reach.TooWide": FAILURE,
    "sweep.export.errors.RunnerError": FAILURE,
    "sweep.judging.metrics.NonFinitePrediction": FAILURE,
    "sweep.judging.metrics.NothingToScore": FAILURE,
    "sweep.engine.ray_cluster.RayUnavailable": FAILURE,
    "sweep.engine.ray_cluster.AttemptTooLarge": BAD_INPUT,
    "sweep.search.samplers.SamplerRefused": BAD_INPUT,
    "sweep.judging.own_score.ScoreError": BAD_INPUT,
    "device_farm.types.FarmError": FAILURE,
    "mlflow.exceptions.MlflowException": FAILURE,
    "builtins.OSError": FAILURE,
}


class _Terminated(BaseException):
    """SIGTERM, raised where the program is, so that all it holds is given back on the way out."""


@contextmanager
def explained_errors() -> Iterator[None]:
    """Turn the errors that people can act on, Ctrl-C and SIGTERM into one message on stderr and an exit code."""
    try:
        with _termination_raised():
            yield
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except _Terminated:
        typer.echo("terminated", err=True)
        raise typer.Exit(TERMINATED) from None
    except Exception as error:
        code = exit_code(type(error))
        if code is None:
            raise
        fail(explain(error), code)


@contextmanager
def _termination_raised() -> Iterator[None]:
    def terminate(_number: int, _frame: FrameType | None) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def exit_code(kind: type[BaseException]) -> int | None:
    """The exit code for an error of this class or of a class that it derives from; None: a bug of ours."""
    names = (f"{cls.__module__}.{cls.__qualname__}" for cls in kind.__mro__)
    return next((EXIT_CODES[name] for name in names if name in EXIT_CODES), None)


def explain(error: Exception) -> str:
    """The error in words; for the system's errors the file and the reason, without the number."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def fail(message: str, code: int) -> NoReturn:
    """Print ``message`` to stderr and end the program with ``code``."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)
