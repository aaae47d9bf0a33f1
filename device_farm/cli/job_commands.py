"""``device-farm measure``, and what became of jobs."""

import time
from pathlib import Path
from typing import Annotated

import typer

from device_farm.cli import arguments
from device_farm.cli.arguments import CredentialsOption, FarmOption, JsonOption
from device_farm.cli.connection import connect
from device_farm.cli.console import print_json, progress, show
from device_farm.cli.errors import explained_errors
from device_farm.cli.job_view import UNFINISHED, job_story, job_table
from device_farm.cli.measure_options import (
    DEFAULTS,
    MAX_PRIORITY,
    parse_settings,
    parse_target,
    parse_timeout,
    read_model,
)
from device_farm.cli.measurement_view import measurement_view
from device_farm.types import (
    DELEGATES,
    MAX_SECONDS,
    Measurement,
    job_to_json,
    measurement_to_json,
)

MAX_LISTED_JOBS = 10_000

JobArgument = Annotated[str, typer.Argument(metavar="ID", help="The job's id or its beginning.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to ``app``."""
    for command in (measure, job, jobs, cancel):
        app.command()(command)


def measure(
    model: Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="The file to measure.")],
    farm: FarmOption,
    require: Annotated[
        str, typer.Option(metavar="K=V,...", help="Labels that the device must carry; also runtime=NAME.")
    ] = "",
    runtime: Annotated[
        str, typer.Option(metavar="NAME", help="Such as tflite-2.14.0.  [default: the device's own]")
    ] = "",
    threads: Annotated[str, typer.Option(metavar="N", help="Interpreter threads.")] = "1",
    delegate: Annotated[str, typer.Option(metavar="NAME", help=" or ".join(DELEGATES) + ".")] = "xnnpack",
    priority: Annotated[str, typer.Option(metavar="N", help="Jobs with a higher one go first.")] = "0",
    interval: Annotated[
        str,
        typer.Option(metavar="PERCENT", help="Width wanted of the median's 95 % interval, of the median."),
    ] = f"{100 * DEFAULTS.interval_width:g}",
    budget: Annotated[
        str, typer.Option(metavar="SECONDS", help="Longest time that samples are taken.")
    ] = f"{DEFAULTS.sampling_seconds:g}",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure anew even if the farm knows an answer.")
    ] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Tell the time per operator too.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Print the job's id and do not wait for its end.")
    ] = False,
    timeout: Annotated[
        str | None, typer.Option(metavar="SECONDS", help="Longest wait for the result.")
    ] = None,
    wait: Annotated[
        str, typer.Option(metavar="SECONDS", help="Longest wait for a device that fits to register.")
    ] = "15",
    as_json: JsonOption = False,
    credentials: CredentialsOption = None,
) -> None:
    """Measure a TFLite file's latency on a device of the farm."""
    with explained_errors():
        wanted = parse_target(require, runtime, threads, delegate)
        settings = parse_settings(interval, budget)
        rank = arguments.whole_number("--priority", priority, -MAX_PRIORITY, MAX_PRIORITY)
        device_wait_seconds = arguments.number("--wait", wait, 0, MAX_SECONDS, "seconds")
        timeout_seconds = parse_timeout(timeout, detach=detach)
        data = read_model(model)
        with connect(farm, credentials, device_wait_seconds) as client:
            if detach:
                job_id = client.submit(data, wanted, settings, rank, fresh=fresh, profile_operators=profile)
                _print_job_id(job_id, as_json)
                return
            with progress("sending the model") as told:
                result = client.measure(
                    data,
                    wanted,
                    settings,
                    timeout_seconds,
                    rank,
                    fresh=fresh,
                    profile_operators=profile,
                    on_update=told,
                )
        _print_measurement(result, model, profile, as_json)


def job(
    job_id: JobArgument,
    farm: FarmOption,
    as_json: JsonOption = False,
    credentials: CredentialsOption = None,
) -> None:
    """Tell a job's whole story."""
    with explained_errors(), connect(farm, credentials) as client:
        record = client.job(_job_id(job_id))
        if as_json:
            print_json(job_to_json(record))
        else:
            show(job_story(record))


def jobs(
    farm: FarmOption,
    limit: Annotated[str, typer.Option(metavar="N", help="How many.")] = "20",
    as_json: JsonOption = False,
    credentials: CredentialsOption = None,
) -> None:
    """List the last jobs, the newest first."""
    with explained_errors():
        most = arguments.whole_number("--limit", limit, 1, MAX_LISTED_JOBS)
        with connect(farm, credentials) as client:
            records = client.jobs(most)
        if as_json:
            print_json([job_to_json(record) for record in records])
        else:
            show(job_table(records, time.time()))


def cancel(
    job_id: JobArgument,
    farm: FarmOption,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Becomes part of its story.")] = (
        "cancelled on the command line"
    ),
    credentials: CredentialsOption = None,
) -> None:
    """End a job that nobody wants any longer."""
    with explained_errors(), connect(farm, credentials) as client:
        record = client.job(_job_id(job_id))
        if record.state not in UNFINISHED:
            typer.echo(f"job {record.job_id} had already ended: {record.state}")
            return
        client.cancel(record.job_id, reason)
        typer.echo(f"job {record.job_id} is cancelled")


def _job_id(text: str) -> str:
    return arguments.not_empty("ID", text).strip()


def _print_job_id(job_id: str, as_json: bool) -> None:
    if as_json:
        print_json({"job_id": job_id})
    else:
        typer.echo(job_id)


def _print_measurement(result: Measurement, model: Path, profile: bool, as_json: bool) -> None:
    if as_json:
        print_json({**measurement_to_json(result), "model": str(model)})
    else:
        show(measurement_view(result, str(model), profiled=profile))
