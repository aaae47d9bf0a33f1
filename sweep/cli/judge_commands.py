"""``sweep score`` and ``sweep evaluate``."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sweep.cli.errors import UsageError, explained_errors
from sweep.cli.progress import data_progress


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(score)
    app.command()(evaluate)


def score(
    si_rmse: Annotated[float, typer.Argument(metavar="SI_RMSE", help="Scale-invariant RMSE, log scale.")],
    runtime_ms: Annotated[float, typer.Argument(metavar="RUNTIME_MS", help="Milliseconds for one frame.")],
) -> None:
    """Print the challenge's Final Score, 2^(-20 si_rmse) / (C runtime_ms) with C = 1/640000."""
    from sweep.judging.score import final_score

    with explained_errors():
        try:
            typer.echo(f"{final_score(si_rmse, runtime_ms):.4f}")
        except ValueError as error:
            raise UsageError(str(error)) from None


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="A file that keeps the contract.")],
    data: Annotated[Path | None, typer.Option(help="Challenge layout; default: the demo data.")] = None,
    farm: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Default: this machine.")] = None,
    runtime: Annotated[str, typer.Option(help="Runtime on the device, such as tflite-2.14.0.")] = "",
    threads: Annotated[int, typer.Option(min=1, help="Interpreter threads on the device.")] = 1,
    delegate: Annotated[str, typer.Option(help="xnnpack or none.")] = "xnnpack",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge any TFLite file: the four metrics over the validation set, its latency and its Final Score.

    The file must map 1x480x640x3 RGB (float32 or uint8, 0-255) to 1x480x640x1 depth in millimetres.
    """
    from device_farm.types import Target
    from sweep.data import default_cache, prepare_dataset
    from sweep.engine.evaluation import evaluate_file

    with explained_errors():
        if not model.is_file():
            raise UsageError(f"{model}: no such file")
        if delegate not in ("xnnpack", "none"):
            raise UsageError(f"--delegate {delegate}: allowed are xnnpack and none")
        console = Console(stderr=True)
        with data_progress(console) as progress:
            dataset = prepare_dataset(data, default_cache(), progress)
        target = Target(runtime=runtime, threads=threads, delegate=delegate)  # type: ignore[arg-type]
        result = evaluate_file(model, dataset, target, farm)
        if as_json:
            typer.echo(json.dumps(result, indent=2))
        else:
            Console().print(_table(result))


def _table(result: dict[str, Any]) -> Table:
    table = Table(title=result["model"], show_header=False)
    rows = [(name, f"{result[name]:.4f}") for name in ("si_rmse", "rmse", "log10", "rel")]
    low, high = result["interval_ms"]
    device = (
        f"{result['device_class']}, {result['runtime']}, {result['threads']} threads, {result['delegate']}"
    )
    rows += [
        ("runtime_ms", f"{result['latency_ms']:.3f}  (95 % interval {low:.3f} to {high:.3f})"),
        ("measured on", device + ("" if result["from_farm"] else "  (this machine, not a Raspberry Pi)")),
        ("final_score", f"{result['final_score']:.2f}  (on {result['data']}: not the challenge's score)"),
        ("frames", str(result["frames"])),
        ("judged by", result["interpreter_version"]),
    ]
    for name, value in rows:
        table.add_row(name, value)
    return table
