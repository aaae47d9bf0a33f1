"""Errors that people can act on become a message and an exit code; the others stay tracebacks."""

import importlib
import os
import signal
from contextlib import ExitStack

import pytest
import typer

from sweep.cli.errors import BAD_INPUT, EXIT_CODES, FAILURE, UsageError, exit_code, explained_errors
from sweep.data.dataset import DatasetError


@pytest.mark.parametrize("name", EXIT_CODES)
def test_every_listed_error_exists(name: str) -> None:
    module, _, kind = name.rpartition(".")
    assert issubclass(getattr(importlib.import_module(module), kind), Exception)


def test_an_error_derived_from_a_listed_one_has_its_exit_code() -> None:
    from device_farm.types import InfeasibleModel

    assert exit_code(InfeasibleModel) == FAILURE
    assert exit_code(FileNotFoundError) == FAILURE
    assert exit_code(DatasetError) == BAD_INPUT
    assert exit_code(KeyError) is None


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UsageError("no such thing"), 2, "error: no such thing\n"),
        (
            FileNotFoundError(2, "No such file or directory", "/none"),
            1,
            "error: /none: No such file or directory\n",
        ),
        (OSError("only words"), 1, "error: only words\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_an_expected_error_is_one_message_and_an_exit_code(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, explained_errors():
        raise error
    assert (ended.value.exit_code, capsys.readouterr().err) == (code, message)


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(KeyError), explained_errors():
        raise KeyError("a bug")


def test_sigterm_unwinds_and_the_handler_before_is_restored(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    unwound: list[str] = []
    held = ExitStack()
    held.callback(unwound.append, "given back")
    with pytest.raises(typer.Exit) as ended, explained_errors(), held:
        os.kill(os.getpid(), signal.SIGTERM)
    assert (ended.value.exit_code, capsys.readouterr().err) == (143, "terminated\n")
    assert unwound == ["given back"]
    assert signal.getsignal(signal.SIGTERM) is before
