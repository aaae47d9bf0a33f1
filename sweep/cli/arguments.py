"""Options that several commands share, and checks of what they name, made before anything starts."""

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.errors import UsageError
from sweep.engine.checks import (
    check_data,
    check_farm_address,
    check_ray_address,
    existing_sweep,
    free_name,
    prepare_runs_folder,
    sweep_names,
)

__all__ = [
    "DATA_HELP",
    "DATA_METAVAR",
    "ArtifactsOption",
    "DataOption",
    "FarmOption",
    "MlflowOption",
    "NameArgument",
    "RunsOption",
    "check_data",
    "check_farm_address",
    "check_output_file",
    "check_ray_address",
    "existing_sweep",
    "free_name",
    "prepare_runs_folder",
    "sweep_names",
]

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The sweep's name.")]
RunsOption = Annotated[Path, typer.Option(metavar="DIR", help="The folder that holds all sweeps.")]
DATA_METAVAR = "DATA"
DATA_HELP = (
    "Folder, NYU Depth v2's .mat file or package.module:Class (docs/data.md).  [default: generated demo data]"
)
DataOption = Annotated[str | None, typer.Option(metavar=DATA_METAVAR, help=DATA_HELP)]
FarmOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Device farm that measures latency; one on another machine asks for credentials, in the file that "
        "DEVICE_FARM_CREDENTIALS names.  [default: one on this machine]",
    ),
]

MlflowOption = Annotated[
    str | None,
    typer.Option(
        "--mlflow-uri",
        metavar="URL",
        envvar="DEPTH_SWEEP_MLFLOW_URI",
        show_envvar=True,
        help="MLflow's store: a database or a server.  [default: a file in --runs]",
    ),
]
ArtifactsOption = Annotated[
    str | None, typer.Option("--mlflow-artifacts", metavar="URI", help="Folder or URI for MLflow's files.")
]


def check_output_file(option: str, output: Path) -> None:
    """Raises UsageError naming ``option`` unless ``output`` is an ordinary file or can become one."""
    if output.is_dir():
        raise UsageError(f"{option} {output}: found a folder; allowed: the path of a file in it")
    if output.exists() and not output.is_file():
        raise UsageError(f"{option} {output}: not an ordinary file")
    if not output.parent.is_dir():
        raise UsageError(f"{option} {output}: there is no folder {output.parent}")
