"""``sweep show``."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.arguments import RunsOption, existing_sweep
from sweep.cli.errors import UsageError, explained_errors
from sweep.cli.inspect_commands import report_console

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sweep.report.showing import Showing
    from sweep.space import Candidate
    from sweep.space.candidate_file import CandidateFile, PublishedRow


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(show)


def show(
    candidate: Annotated[
        str,
        typer.Argument(
            metavar="CANDIDATE",
            help="A candidate's YAML file, a bundled one such as mai2022/tcl, or with --trial a sweep's name.",
        ),
    ],
    trial: Annotated[
        int | None, typer.Option(metavar="NUMBER", min=0, help="Show this trial of the sweep CANDIDATE.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs: RunsOption = Path("runs"),
) -> None:
    """Show what a candidate is, before any training.

    Its parameters and multiply-adds, the shapes and receptive field of each stage, the size of its TFLite file
    (exported untrained, to be thrown away), its recipe, and what a report says of it.
    """
    from sweep.report.showing import showing_json, showing_view

    with explained_errors():
        if trial is None:
            from sweep.space.candidate_file import load_candidate

            shown = _from_file(load_candidate(candidate))
        else:
            shown = _from_sweep(runs, candidate, trial)
        if as_json:
            typer.echo(json.dumps(showing_json(shown), indent=2))
        else:
            report_console().print(showing_view(shown))


def _from_file(file: "CandidateFile") -> "Showing":
    return _examined(file.name, file.description, file.file, file.candidate, file.published)


def _from_sweep(runs: Path, name: str, number: int) -> "Showing":
    from sweep.lifecycle import read_state
    from sweep.space import Candidate

    trials = read_state(existing_sweep(runs, name)).trials
    if number not in trials:
        there = f"there are {min(trials)} to {max(trials)}" if trials else "there are none yet"
        raise UsageError(f"--trial: found {number}; sweep {name} has no such trial: {there}")
    candidate = Candidate.model_validate(trials[number].candidate)
    return _examined(f"{name}, trial {number}", "", str(runs / name), candidate, None)


def _examined(
    name: str, description: str, source: str, candidate: "Candidate", published: "PublishedRow | None"
) -> "Showing":
    import torch

    from sweep.export import export_network
    from sweep.models import build_network
    from sweep.models.describe import describe_network
    from sweep.models.untrained import settle_batch_norm
    from sweep.report.showing import Showing

    torch.manual_seed(0)
    network = build_network(candidate.architecture)
    described = describe_network(network)
    frames = _patchwork()
    settle_batch_norm(network, frames)  # or deep networks give numbers on which no two runtimes agree
    with tempfile.TemporaryDirectory(prefix="depth-sweep-show-") as directory:
        exported = export_network(network, Path(directory), frames)
    return Showing(
        name=name,
        description=description,
        source=source,
        candidate=candidate,
        network=described,
        tflite_bytes=exported.size_bytes,
        file_parameters=exported.parameters,
        published=published,
    )


def _patchwork() -> "NDArray[np.uint8]":
    """(2, 480, 640, 3): squares of random colours, to check the export on; no data set is needed for a size."""
    import numpy as np

    colours = np.random.default_rng(0).integers(0, 256, (2, 15, 20, 3), dtype=np.uint8)
    return colours.repeat(32, axis=1).repeat(32, axis=2)
