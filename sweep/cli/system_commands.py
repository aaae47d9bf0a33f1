"""``sweep doctor`` and ``sweep data``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.cli.arguments import DATA_HELP, DATA_METAVAR, RunsOption, check_farm_address, check_output_file
from sweep.cli.errors import UsageError, explained_errors
from sweep.cli.progress import data_progress

MARKS = {"good": ("ok", "green"), "note": ("note", "yellow"), "bad": ("BAD", "red")}


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(doctor)
    app.command()(data)


def doctor(
    farm: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="A device farm to check too.")] = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Check this machine and say what to do.

    Looks at versions, the TFLite interpreter, memory, GPU, disk and farm; exits with 1 if something is bad.
    """
    from sweep.doctor import examine, healthy

    with explained_errors():
        check_farm_address(farm)
        findings = list(examine(runs, farm))
    table = Table(show_header=False)
    for finding in findings:
        word, style = MARKS[finding.verdict]
        table.add_row(Text(word, style=style), finding.subject, Text(finding.found), Text(finding.advice))
    Console().print(table)
    if not healthy(findings):
        raise typer.Exit(1)


def data(
    address: Annotated[str | None, typer.Argument(metavar=DATA_METAVAR, help=DATA_HELP)] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw some pairs to this file.")
    ] = None,
    images: Annotated[int, typer.Option(metavar="N", min=1, help="How many pairs to draw.")] = 12,
) -> None:
    """Check and prepare a data set, and draw some of its pairs on request."""
    import cv2

    from sweep.data import contact_sheet, default_cache, prepare_dataset
    from sweep.engine.own_code import make_importable

    console = Console()
    with explained_errors():
        if picture is not None:
            _check_picture(picture)
        make_importable((Path(),))  # a source of one's own may lie here
        with data_progress(console) as progress:
            dataset = prepare_dataset(address, default_cache(), progress)
        kind = "demo data: generated, never the challenge's" if dataset.is_demo else str(address)
        console.print(
            f"{dataset.name} ({kind}): {len(dataset.train.names)} training pairs, "
            f"{len(dataset.validation.names)} validation pairs, fingerprint {dataset.fingerprint}",
            soft_wrap=True,
        )
        if picture is not None:
            sheet = cv2.cvtColor(contact_sheet(dataset, images), cv2.COLOR_RGB2BGR)
            if not cv2.imwrite(str(picture), sheet):
                raise OSError(f"{picture} could not be written")
            console.print(f"pairs drawn to {picture}")


def _check_picture(picture: Path) -> None:
    check_output_file("--picture", picture)
    if picture.suffix.lower() != ".png":
        raise UsageError(f"--picture {picture}: found {picture.suffix or 'no suffix'}; allowed: .png")
