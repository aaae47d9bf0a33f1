"""``device-farm devices --watch``: the fleet once a second, until Ctrl-C."""

import json
import sys
import time
from collections.abc import Callable, Iterator

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from device_farm.cli.console import open_console, show
from device_farm.cli.wording import moment
from device_farm.types import Device, FarmUnavailable, device_to_json

WATCH_SECONDS = 1.0

Fleet = tuple[Device, ...]
Look = Callable[[], Fleet]
View = Callable[[Fleet, Console], RenderableType]


def watch(look: Look, view: View, farm: str, *, as_json: bool) -> None:
    """On a terminal in place; else each change as a new table, or as one line of JSON.

    A farm that goes away is waited for. Ctrl-C is how this ends well.

    Raises:
        FarmError: at the first look.
    """
    try:
        if as_json:
            for fleet in _changes(look):
                typer.echo(json.dumps([device_to_json(device) for device in fleet], ensure_ascii=False))
        elif sys.stdout.isatty():
            _watch_in_place(look, view, farm)
        else:
            _watch_changes(look, view, farm)
    except KeyboardInterrupt:
        return


def _watch_in_place(look: Look, view: View, farm: str) -> None:
    console = open_console()
    with Live(console=console, auto_refresh=False) as live:
        for fleet, trouble in _observations(look):
            status = Text(f"{trouble}; trying again", style="red") if trouble else Text(farm, style="dim")
            status.append(f"  {moment(time.time())}, Ctrl-C ends", style="dim")
            live.update(Group(view(fleet, console), Text(""), status), refresh=True)


def _watch_changes(look: Look, view: View, farm: str) -> None:
    for index, fleet in enumerate(_changes(look)):
        typer.echo("\n" * (index > 0) + f"{moment(time.time())}  {farm}")
        show(view(fleet, open_console()))


def _changes(look: Look) -> Iterator[Fleet]:
    """The fleet whenever it differs from before; what is wrong in between goes to stderr, once."""
    shown: Fleet | None = None
    told = ""
    for fleet, trouble in _observations(look):
        if trouble and trouble != told:
            typer.echo(f"{trouble}; trying again", err=True)
        told = trouble
        if fleet != shown:
            yield fleet
            sys.stdout.flush()
            shown = fleet


def _observations(look: Look) -> Iterator[tuple[Fleet, str]]:
    """The fleet each second, for ever, and what is wrong: then the fleet is as it was last seen."""
    fleet = look()
    yield fleet, ""
    while True:
        time.sleep(WATCH_SECONDS)  # the pace of the display: people read no faster
        trouble = ""
        try:
            fleet = look()
        except FarmUnavailable as error:
            trouble = str(error)
        yield fleet, trouble
