"""``sweep leaderboard``, ``sweep best`` and ``sweep ui``."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sweep.cli.errors import UsageError, explained_errors

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The sweep's name.")]
RunsOption = Annotated[Path, typer.Option(help="The folder of all sweeps.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(leaderboard)
    app.command()(best)
    app.command()(ui)


def leaderboard(
    name: NameArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with a list `trials`.")] = False,
    runs: RunsOption = Path("runs"),
) -> None:
    """Rank a sweep's trials, beside the challenge's published results."""
    from sweep.engine.files import Runs
    from sweep.lifecycle import read_state
    from sweep.report.leaderboard import leaderboard_json, leaderboard_table

    with explained_errors():
        state = read_state(Runs(runs).sweep(name).root)
        if as_json:
            typer.echo(json.dumps(leaderboard_json(state), indent=2))
        else:
            console = Console()
            console.print(leaderboard_table(state, width=console.width))


def best(
    name: NameArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the file.")],
    runs: RunsOption = Path("runs"),
) -> None:
    """Write the best trial's TFLite file to a path of your choice."""
    from sweep.engine.files import Runs
    from sweep.lifecycle import read_state

    with explained_errors():
        files = Runs(runs).sweep(name)
        trial = read_state(files.root).best
        if trial is None or trial.completion is None:
            raise UsageError(f"sweep {name} has no complete trial yet; see: sweep leaderboard {name}")
        shutil.copyfile(files.root / trial.completion.files["tflite"], output)
        typer.echo(
            f"{output}: trial {trial.number}, Final Score {trial.completion.final_score:.2f}, "
            f"{trial.completion.latency_ms:.2f} ms, si-RMSE {trial.completion.metrics['si_rmse']:.4f}"
        )


def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5000,
    runs: RunsOption = Path("runs"),
) -> None:
    """Open the MLflow dashboard of all sweeps; Ctrl-C ends it."""
    from sweep.engine.files import Runs
    from sweep.lifecycle import read_state
    from sweep.lifecycle.journal import JOURNAL_NAME
    from sweep.tracking.dashboard import (
        dashboard_address,
        dashboard_command,
        dashboard_environment,
        experiment_of,
    )

    with explained_errors():
        folder = Runs(runs)
        if not (folder.root / "mlflow.db").exists():
            raise UsageError(f"{folder.root} holds no sweep yet; start one with: sweep run mobilenetv3")
        newest = max(folder.root.glob(f"*/{JOURNAL_NAME}"), key=lambda path: path.stat().st_mtime)
        started = read_state(newest.parent).started
        experiment = experiment_of(folder.mlflow_uri, started.identity) if started else None
        address = dashboard_address(host, port, experiment)
        typer.echo(f"MLflow comes up in 5 to 30 seconds; Ctrl-C ends it. Then open:\n{address}")
        command = dashboard_command(folder.mlflow_uri, host, port)
        try:
            raise typer.Exit(subprocess.run(command, env=dashboard_environment(), check=False).returncode)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
