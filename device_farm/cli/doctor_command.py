"""``device-farm doctor``."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from device_farm.cli import arguments
from device_farm.cli.arguments import CredentialsOption, JsonOption, RuntimesOption
from device_farm.cli.console import plain_table, print_json, progress, show
from device_farm.cli.errors import FAILURE, explained_errors
from device_farm.cli.wording import count
from device_farm.measuring.profiles import PROFILES
from device_farm.state import default_state_dir
from device_farm.worker.doctor import Check, Verdict, checks_to_json, examine, fit
from device_farm.worker.inspection import Question, inspect

STYLES: dict[Verdict, str] = {"ok": "green", "warning": "yellow", "problem": "bold red", "unknown": "dim"}


def register(app: typer.Typer) -> None:
    """Adds the command to ``app``."""
    app.command()(doctor)


def doctor(
    farm: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", envvar="DEVICE_FARM", help="A coordinator to ask for admission."),
    ] = "",
    credentials: CredentialsOption = None,
    runtime: RuntimesOption = None,
    profile: Annotated[
        str, typer.Option(metavar="NAME", help=" or ".join(PROFILES) + ".  [default: as the board is]")
    ] = "",
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The worker's folder, which may not exist yet.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check this board before it joins a farm.

    Exits with 1 if there is a problem: something that would make its measurements invalid.
    """
    with explained_errors():
        question = Question(
            runtimes=arguments.runtimes(runtime or []),
            state=state or default_state_dir("worker"),
            profile=arguments.one_of("--profile", profile, tuple(PROFILES)) if profile else "",
            farm=arguments.farm_address(farm) if farm else "",
            credentials=credentials,
        )
        with progress("looking at this machine"):
            checks = examine(asyncio.run(inspect(question)))
        if as_json:
            print_json(checks_to_json(checks))
        else:
            show(diagnosis(checks))
        if not fit(checks):
            raise typer.Exit(FAILURE)


def diagnosis(checks: tuple[Check, ...]) -> RenderableType:
    """The checks as a table, and what follows from them."""
    table = plain_table()
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column(overflow="fold")
    for check in checks:
        found = Text(check.found)
        if check.advice:
            found.append(f"\n-> {check.advice}", style="dim")
        table.add_row(Text(check.verdict, style=STYLES[check.verdict]), check.subject, found)
    return Group(table, Text(""), _summary(checks))


def _summary(checks: tuple[Check, ...]) -> Text:
    verdicts = [check.verdict for check in checks]
    problems = count(verdicts.count("problem"), "problem")
    warnings = count(verdicts.count("warning"), "warning")
    if fit(checks):
        return Text(f"This board may join ({warnings}).", style="green")
    return Text(f"This board should not join yet: {problems}, {warnings}.", style="bold red")
