"""The ``device-farm`` command."""

import asyncio
import json
import logging
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer

from device_farm import display
from device_farm.acceptance import HEADER_BYTES, check_model_header
from device_farm.addresses import parse_address
from device_farm.client import FarmClient
from device_farm.jobs import Registration
from device_farm.lifetime import announce, run_until_stopped
from device_farm.runtimes import RuntimeProblem, runtime_family
from device_farm.server import CannotListen, check_listen_address
from device_farm.server import serve as run_server
from device_farm.state import StateInUse, default_state_dir
from device_farm.types import (
    DELEGATES,
    FarmError,
    MeasurementSettings,
    Target,
    device_to_json,
    measurement_to_json,
)
from device_farm.worker import WorkerConfig, run_worker

T = TypeVar("T")

BAD_INPUT, FAILURE = 2, 1
DEFAULT_LISTEN = "127.0.0.1:50051"

app = typer.Typer(
    help="Measure the latency of TFLite files on a farm of devices.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

FarmOption = Annotated[str, typer.Option("--farm", metavar="HOST:PORT", help="The coordinator's address.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
# For the program that starts this one, see device_farm.local.
ReadyFdOption = Annotated[int | None, typer.Option("--ready-fd", hidden=True)]
ExitWithOption = Annotated[int | None, typer.Option("--exit-with", hidden=True)]


@app.command()
def serve(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Loopback address to listen on; port 0: any free one.")
    ] = DEFAULT_LISTEN,
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for uploaded models and the job log.")
    ] = None,
    ready_fd: ReadyFdOption = None,
    exit_with: ExitWithOption = None,
) -> None:
    """Run the coordinator, which workers and clients connect to."""
    folder = state or default_state_dir("coordinator")

    def ready(address: str) -> None:
        typer.echo(f"Coordinator listening on {address}; state in {folder}. Ctrl-C stops it.")
        typer.echo(f"Next, on this machine: device-farm worker --farm {address}")
        announce(ready_fd, address)

    _or_exit(lambda: check_listen_address(listen))
    _log_to_stderr()
    _or_exit(lambda: asyncio.run(run_until_stopped(run_server(listen, folder, ready), exit_with)))


@app.command()
def worker(
    farm: FarmOption,
    name: Annotated[str, typer.Option(help="The device's name.  [default: the host name]")] = "",
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the device's id.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A label of the device; may be repeated.")
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PYTHON",
            help="A further runtime, such as tflite-2.5.0=/path/to/python; may be repeated.",
        ),
    ] = None,
    emulated: Annotated[bool, typer.Option("--emulated", help="Say that this machine is emulated.")] = False,
    ready_fd: ReadyFdOption = None,
    exit_with: ExitWithOption = None,
) -> None:
    """Offer this machine to a farm, for as long as this runs."""
    config = _or_exit(lambda: _worker_config(farm, state, name, label or [], runtime or [], emulated))
    announced = False

    def registered(registration: Registration) -> None:
        nonlocal announced
        typer.echo(display.registered(registration, farm))
        if not announced:
            announce(ready_fd, registration.device_id)
            announced = True

    _log_to_stderr()
    _or_exit(lambda: asyncio.run(run_until_stopped(run_worker(config, registered), exit_with)))


@app.command()
def devices(farm: FarmOption, as_json: JsonOption = False) -> None:
    """List the devices of a farm."""

    def listed() -> None:
        with FarmClient(farm) as client:
            found = client.devices()
        if as_json:
            typer.echo(json.dumps([device_to_json(device) for device in found], indent=2))
        else:
            display.print_devices(found, farm)

    _or_exit(listed)


@app.command()
def measure(
    model: Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="The file to measure.")],
    farm: FarmOption,
    as_json: JsonOption = False,
    runtime: Annotated[
        str, typer.Option(help="Runtime, such as tflite-2.14.0.  [default: the device's own]")
    ] = "",
    threads: Annotated[int, typer.Option(help="Interpreter threads.")] = 1,
    delegate: Annotated[str, typer.Option(help=" or ".join(DELEGATES) + ".")] = "xnnpack",
    require: Annotated[
        str, typer.Option(metavar="K=V,...", help="Labels that the device must carry; also runtime=NAME.")
    ] = "",
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Longest wait for the result.")
    ] = None,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", help="Longest wait for a device that fits to register.")
    ] = 15.0,
) -> None:
    """Measure a TFLite file's latency on a device of the farm."""
    target = _or_exit(lambda: _target(require, runtime, threads, delegate))
    _or_exit(lambda: _check_seconds("--wait", wait))
    if timeout is not None:
        _or_exit(lambda: _check_seconds("--timeout", timeout))
    _or_exit(lambda: _check_model(model))

    def measured() -> None:
        with FarmClient(farm, device_wait_seconds=wait) as client, display.progress() as progress:
            result = client.measure(model, target, MeasurementSettings(), timeout, on_update=progress)
        if as_json:
            typer.echo(json.dumps({**measurement_to_json(result), "model": str(model)}, indent=2))
        else:
            display.print_measurement(result, model)

    _or_exit(measured)


def _check_seconds(option: str, seconds: float) -> None:
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{option} {seconds}: allowed are finite numbers of seconds, 0 or more")


def main() -> None:
    """Runs the command line."""
    app(prog_name="device-farm")


def _or_exit(action: Callable[[], T]) -> T:
    """Runs the action; an expected error becomes one clear message and an exit code."""
    try:
        return action()
    except (ValueError, OSError, StateInUse, RuntimeProblem) as error:
        _exit(BAD_INPUT, str(error))
    except (FarmError, CannotListen) as error:
        _exit(FAILURE, str(error))


def _exit(code: int, message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)


def _worker_config(
    farm: str, state: Path | None, name: str, labels: list[str], runtimes: list[str], emulated: bool
) -> WorkerConfig:
    parse_address(farm)
    named = _pairs(runtimes, "--runtime", "NAME=PYTHON")
    for runtime in named:
        runtime_family(runtime)
    return WorkerConfig(
        farm,
        state or default_state_dir("worker"),
        name,
        _pairs(labels, "--label", "KEY=VALUE"),
        named,
        emulated,
    )


def _target(require: str, runtime: str, threads: int, delegate: str) -> Target:
    labels = _pairs([part for part in require.split(",") if part], "--require", "K=V,...")
    required = labels.pop("runtime", runtime)
    if runtime and required != runtime:
        raise ValueError(f"--require asks for runtime {required}, --runtime for {runtime}")
    if delegate not in DELEGATES:
        raise ValueError(f"--delegate must be one of {', '.join(DELEGATES)}, got {delegate!r}")
    return Target(labels, required, threads, delegate)


def _pairs(texts: list[str], option: str, form: str) -> dict[str, str]:
    """``KEY=VALUE`` texts as a dict; a text without key or value, or a key given twice, is an error."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not key or not value:
            raise ValueError(f"{option} {text!r}: expected {form}")
        if key in pairs:
            raise ValueError(f"{option}: {key} is given twice")
        pairs[key] = value
    return pairs


def _check_model(model: Path) -> None:
    """Raises ValueError or OSError naming the file, before anything travels."""
    if not model.is_file():
        raise ValueError(f"{model}: no such file")
    with model.open("rb") as file:
        try:
            check_model_header(file.read(HEADER_BYTES))
        except ValueError as error:
            raise ValueError(f"{model}: {error}") from None


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
