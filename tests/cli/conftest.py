"""How the tests of the command line call it."""

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from sweep.cli import app

Call = Callable[..., Result]


@pytest.fixture
def call() -> Call:
    """Run a command in this process, on a terminal 80 columns wide."""

    def run(*arguments: object) -> Result:
        runner = CliRunner(env={"COLUMNS": "80"})
        return runner.invoke(app, [str(argument) for argument in arguments], prog_name="sweep")

    return run
