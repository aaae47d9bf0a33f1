"""What a person sees when something is wrong: one message, no traceback, and an exit code that means something."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from device_farm.coordinator.database import UnreadableState
from device_farm.coordinator.server import CannotListen
from device_farm.state import StateInUse
from device_farm.types import FarmError
from device_farm.worker.runtimes import RuntimeProblem

BAD_INPUT = 2
"""Exit code when the person must change something: a file, an option, an address."""

FAILURE = 1
"""Exit code when something broke that was right to ask for."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the signal's number."""


@contextmanager
def explained_errors() -> Iterator[None]:
    """Turns Ctrl-C and the errors that people can act on into one message on stderr and an exit code."""
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read our output has seen enough: the command line ends without a word
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except (FarmError, CannotListen) as error:
        fail(str(error), FAILURE)
    except OSError as error:
        fail(_system_error(error), BAD_INPUT)
    except (ValueError, StateInUse, UnreadableState, RuntimeProblem) as error:
        fail(str(error), BAD_INPUT)


def fail(message: str, code: int) -> NoReturn:
    """Prints ``message`` to stderr and ends the program with ``code``."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)


def _system_error(error: OSError) -> str:
    """The file and the reason, without the number."""
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
