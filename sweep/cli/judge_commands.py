"""``sweep score`` and ``sweep evaluate``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sweep.cli.arguments import DataOption, FarmOption, check_data, check_farm_address
from sweep.cli.errors import UsageError, explained_errors
from sweep.cli.progress import data_progress

if TYPE_CHECKING:
    from device_farm.types import Target


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command(context_settings={"ignore_unknown_options": True})(score)  # a number below 0 is no option
    app.command()(evaluate)


def score(
    si_rmse: Annotated[
        float,
        typer.Argument(metavar="SI_RMSE", help="Scale-invariant RMSE of the log depth, such as 0.2773."),
    ],
    runtime_ms: Annotated[
        float, typer.Argument(metavar="RUNTIME_MS", help="Milliseconds for one frame, such as 46.")
    ],
) -> None:
    """Print the challenge's Final Score.

    It is 2^(-20 SI_RMSE) / (C RUNTIME_MS), with C = 1/640000; larger is better.
    """
    from sweep.judging.score import final_score

    with explained_errors():
        try:
            typer.echo(f"{final_score(si_rmse, runtime_ms):.4f}")
        except ValueError as error:
            raise UsageError(str(error)) from None


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="The file to judge.")],
    data: DataOption = None,
    farm: FarmOption = None,
    runtime: Annotated[
        str, typer.Option(metavar="NAME", help="Such as tflite-2.14.0.  [default: the device's own]")
    ] = "",
    threads: Annotated[int, typer.Option(metavar="N", min=1, help="Interpreter threads on the device.")] = 1,
    delegate: Annotated[str, typer.Option(metavar="NAME", help="xnnpack or none.")] = "xnnpack",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge any TFLite file that keeps the contract.

    Prints the four metrics over the validation set, the latency and the Final Score.

    The contract: the file maps 1x480x640x3 RGB (float32 or uint8, 0-255) to 1x480x640x1 depth, in float32
    millimetres or in uint8 codes that its metadata entry depth_encoding explains.
    """
    from sweep.data import default_cache, prepare_dataset
    from sweep.engine.evaluation import evaluate_file

    with explained_errors():
        check_model_file(model)
        check_data(data)
        check_farm_address(farm)
        target = _target(runtime, threads, delegate)
        with data_progress(Console(stderr=True)) as progress:
            dataset = prepare_dataset(data, default_cache(), progress)
        result = evaluate_file(model, dataset, target, farm)
        if as_json:
            typer.echo(json.dumps(result, indent=2))
        else:
            Console().print(_table(result))


def check_model_file(model: Path) -> None:
    """Raises UsageError or ContractError, before data are prepared, unless the file keeps the contract."""
    from sweep.export import check_contract

    if not model.is_file():
        raise UsageError(f"{model}: {'a folder, not a file' if model.is_dir() else 'no such file'}")
    check_contract(model)


def _target(runtime: str, threads: int, delegate: str) -> "Target":
    from device_farm.types import DELEGATES, MAX_THREADS, Target

    if delegate not in DELEGATES:
        raise UsageError(f"--delegate: found {delegate!r}; allowed: {', '.join(DELEGATES)}")
    if threads > MAX_THREADS:
        raise UsageError(f"--threads: found {threads}; allowed: 1 to {MAX_THREADS}")
    return Target(runtime=runtime, threads=threads, delegate=delegate)


def _table(result: dict[str, Any]) -> Table:
    table = Table(title=result["model"], show_header=False)
    rows = [(name, f"{result[name]:.4f}") for name in ("si_rmse", "rmse", "log10", "rel")]
    device = (
        f"{result['device_class']}, {result['runtime']}, "
        f"{result['threads']} thread{'' if result['threads'] == 1 else 's'}, {result['delegate']}"
    )
    rows += [
        ("runtime_ms", f"{result['latency_ms']:.3f}  ({_interval(result['interval_ms'])})"),
        ("measured on", device + ("" if result["from_farm"] else "  (this machine, not a Raspberry Pi)")),
        ("final_score", f"{result['final_score']:.2f}  (on {result['data']}: not the challenge's score)"),
        ("frames", str(result["frames"])),
        ("judged by", result["interpreter_version"]),
    ]
    for name, value in rows:
        table.add_row(name, value)
    return table


def _interval(bounds: list[float] | None) -> str:
    if bounds is None:
        return "unstable: the invocations drift, so that there is no interval"
    return f"95 % interval {bounds[0]:.3f} to {bounds[1]:.3f}"
