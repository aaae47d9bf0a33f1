"""``sweep leaderboard``, ``sweep best`` and ``sweep ui``."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sweep.cli.arguments import (
    ArtifactsOption,
    MlflowOption,
    NameArgument,
    RunsOption,
    check_output_file,
    existing_sweep,
    sweep_names,
)
from sweep.cli.errors import UsageError, explained_errors
from sweep.engine.checks import checked_stores

if TYPE_CHECKING:
    from sweep.lifecycle import Trial
    from sweep.lifecycle.events import TrialCompleted
    from sweep.lifecycle.exports import ExportRecord
    from sweep.report.score_label import ScoreLabel


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
    """Rank a sweep's trials.

    Trials whose order is not significant share a rank. Of a sweep that retrained winners, the figures on
    held-out data stand apart. The challenge's published results stand below, for orientation.
    """
    from sweep.engine.own_code import find_score_again
    from sweep.lifecycle import read_state
    from sweep.report.leaderboard import leaderboard_json, leaderboard_table

    with explained_errors():
        state = read_state(existing_sweep(runs, name))
        find_score_again(state.started)
        if as_json:
            typer.echo(json.dumps(leaderboard_json(state), indent=2))
        else:
            console = Console()
            console.print(leaderboard_table(state, width=console.width))


def best(
    name: NameArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the TFLite file.")
    ],
    variant: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Another file of that trial, such as int8.  [default: its best]"),
    ] = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Write the best trial's TFLite file.

    Where a sweep exports each network to several files, it is the one whose score counts; --variant names another.
    """
    from sweep.engine.own_code import find_score_again
    from sweep.lifecycle import read_state
    from sweep.report.rows import scoring_of
    from sweep.report.score_label import label_in
    from sweep.search.finalists import standing

    with explained_errors():
        directory = existing_sweep(runs, name)
        state = read_state(directory)
        find_score_again(state.started)
        trial = next(iter(standing(state, scoring_of(state))), None)
        if trial is None or trial.completion is None:
            raise UsageError(f"sweep {name} has no complete trial yet; see: sweep leaderboard {name}")
        check_output_file("--output", output)
        file, figures = _file_of(trial, trial.completion, variant, label_in(state))
        copy_whole(directory / file, output.resolve())
        typer.echo(f"{output}: trial {trial.number}, {figures}")


def _file_of(
    trial: "Trial", completion: "TrialCompleted", variant: str | None, label: "ScoreLabel"
) -> tuple[str, str]:
    """Path and figures of the trial's file: the one that counts, or the best of ``variant``."""
    from sweep.lifecycle.exports import records_of, winner_of
    from sweep.report.exports import best_of_variant, variants_of

    records = records_of(completion.exports)
    if variant is None or (variant == "fp32" and not records):
        winner = winner_of(records)
        si_rmse: float | None = completion.metrics["si_rmse"]
        figures = (completion.final_score, completion.latency_ms, si_rmse)
        name = "" if winner is None else f"{_setting(winner)}, "
        return completion.files["tflite"], f"{name}{_spelled(label, *figures)}"
    found = best_of_variant(records, variant)
    if found is None or found.tflite is None or found.latency_ms is None or found.final_score is None:
        allowed = ", ".join(variants_of(records)) or "fp32"
        raise UsageError(
            f"--variant: found {variant!r}; trial {trial.number} has a working file of: {allowed}"
        )
    figures = (found.final_score, found.latency_ms, found.si_rmse)
    return found.tflite, f"{_setting(found)}, {_spelled(label, *figures)}"


def _setting(record: "ExportRecord") -> str:
    threads = f"{record.threads} thread{'' if record.threads == 1 else 's'}"
    delegate = "no delegate" if record.delegate == "none" else record.delegate
    return f"{record.variant} with {record.output_upsampling} upsampling at {threads}, {delegate}"


def _spelled(label: "ScoreLabel", value: float, latency_ms: float, si_rmse: float | None) -> str:
    accuracy = "" if si_rmse is None else f", si-RMSE {si_rmse:.4f}"
    text = label.text(value) if label.is_own else f"{value:.2f}"
    return f"{label.name} {text}, {latency_ms:.2f} ms{accuracy}"


def ui(
    host: Annotated[str, typer.Option(metavar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="Port to listen on.")] = 5000,
    mlflow_uri: MlflowOption = None,
    mlflow_artifacts: ArtifactsOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Open the MLflow dashboard of all sweeps; Ctrl-C ends it."""
    from sweep.engine.files import Runs
    from sweep.tracking.addresses import artifact_root, redacted
    from sweep.tracking.dashboard import dashboard_address, dashboard_command, dashboard_environment

    with explained_errors():
        folder = Runs(runs)
        stores = checked_stores(runs, mlflow_uri, mlflow_artifacts, None)
        uri = stores.mlflow_uri or folder.mlflow_uri
        if stores.mlflow_uri is None and not (folder.root / "mlflow.db").exists():
            raise UsageError(f"{folder.root} holds no sweep yet; start one with: sweep run mobilenetv3")
        experiment = _newest_experiment(runs, uri)
        if uri.startswith("http"):  # a tracking server is its own dashboard
            typer.echo(dashboard_address(redacted(uri), experiment))
            return
        _check_port_is_free(host, port)
        address = dashboard_address(f"http://{host}:{port}", experiment)
        typer.echo(f"MLflow comes up in 5 to 30 seconds; Ctrl-C ends it. Then open:\n{address}")
        command = dashboard_command(host, port)
        artifacts = artifact_root(uri, stores.mlflow_artifacts, folder.mlflow_artifacts)
        environment = dashboard_environment(uri, artifacts or "")
        try:
            raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file so that ``target`` is never half written, whatever happens meanwhile."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        draft = Path(folder) / target.name
        try:
            shutil.copyfile(source, draft)
            os.replace(draft, target)
        except OSError as error:
            raise OSError(f"cannot copy {source} to {target}: {error.strerror}") from None


def _check_port_is_free(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --port or --host"
        ) from None


def _newest_experiment(runs: Path, uri: str) -> str | None:
    """The MLflow experiment of the sweep that was written to last; None: show the list of all."""
    from sweep.lifecycle import read_state
    from sweep.lifecycle.journal import JOURNAL_NAME, JournalError
    from sweep.tracking.dashboard import experiment_of

    journals = [runs / name / JOURNAL_NAME for name in sweep_names(runs)]
    if not journals:
        return None
    try:
        started = read_state(max(journals, key=lambda path: path.stat().st_mtime).parent).started
    except JournalError:  # the dashboard does not need it, and `sweep leaderboard` says what is wrong
        return None
    return experiment_of(uri, started.identity) if started else None
