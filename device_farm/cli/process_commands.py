"""``device-farm serve`` and ``device-farm worker``: the programs that a farm consists of."""

import asyncio
import gc
import logging
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from device_farm.addresses import join_address, parse_address
from device_farm.cli import arguments
from device_farm.cli.arguments import CredentialsOption, FarmOption, RuntimesOption
from device_farm.cli.errors import explained_errors
from device_farm.cli.fleet_view import registered_line
from device_farm.coordinator.certificates import KeyPair, read_key_pair
from device_farm.coordinator.server import credentials_folder, needs_tls
from device_farm.coordinator.server import serve as run_server
from device_farm.credentials import check_address, load_credentials
from device_farm.jobs import Registration
from device_farm.lifetime import announce, run_until_stopped
from device_farm.measuring.profiles import PROFILES
from device_farm.state import default_state_dir
from device_farm.worker.worker import WorkerConfig, run_worker

# Thousands of messages a second make few cycles; looking for them all the time took a tenth of the coordinator's
# processor time.
RARE_COLLECTIONS = (50_000, 50, 100)
DEFAULT_LISTEN = "127.0.0.1:50051"
ANY_ADDRESS = ("0.0.0.0", "::")  # other machines reach such a coordinator by the host's name

# For the program that starts this one, see device_farm.local.
ReadyFdOption = Annotated[int | None, typer.Option("--ready-fd", hidden=True)]
ExitWithOption = Annotated[int | None, typer.Option("--exit-with", hidden=True)]


def register(app: typer.Typer) -> None:
    """Adds the commands to ``app``."""
    app.command()(serve)
    app.command()(worker)


def serve(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Address to listen on; port 0: any free one.")
    ] = DEFAULT_LISTEN,
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for jobs, models and credentials.")
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="TLS and tokens on loopback too; elsewhere they are always on.")
    ] = False,
    tls_cert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A certificate of your own, in PEM.  [default: made here]"),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key.")] = None,
    ready_fd: ReadyFdOption = None,
    exit_with: ExitWithOption = None,
) -> None:
    """Run the coordinator, which workers and clients connect to."""
    folder = state or default_state_dir("coordinator")
    with explained_errors():
        own = _own_key_pair(tls_cert, tls_key)
        secure = _is_public(listen) or tls or own is not None

        def ready(address: str) -> None:
            for line in _serving(address, folder, credentials_folder(folder) if secure else None):
                typer.echo(line)
            announce(ready_fd, address)

        _log_to_stderr()
        gc.set_threshold(*RARE_COLLECTIONS)
        program = run_server(listen, folder, ready, tls=secure, own=own)
        asyncio.run(run_until_stopped(program, exit_with))


def worker(
    farm: FarmOption,
    name: Annotated[str, typer.Option(help="The device's name.  [default: the host name]")] = "",
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the device's key.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A label of the device; may be repeated.")
    ] = None,
    runtime: RuntimesOption = None,
    profile: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"Rules for its measurements: {' or '.join(PROFILES)}.  [default: as the board is]",
        ),
    ] = "",
    emulated: Annotated[bool, typer.Option("--emulated", help="Say that this machine is emulated.")] = False,
    credentials: CredentialsOption = None,
    ready_fd: ReadyFdOption = None,
    exit_with: ExitWithOption = None,
) -> None:
    """Offer this machine to a farm, for as long as this runs."""
    with explained_errors():
        config = _worker_config(farm, state, name, label or [], runtime or [], profile, emulated, credentials)
        announced = False

        def registered(registration: Registration) -> None:
            nonlocal announced
            typer.echo(registered_line(registration, farm))
            if not announced:
                announce(ready_fd, registration.device_id)
                announced = True

        _log_to_stderr()
        asyncio.run(run_until_stopped(run_worker(config, registered), exit_with))


def _worker_config(
    farm: str,
    state: Path | None,
    name: str,
    labels: list[str],
    runtimes: list[str],
    profile: str,
    emulated: bool,
    credentials: Path | None,
) -> WorkerConfig:
    held = None if credentials is None else load_credentials(credentials)
    arguments.farm_address(farm)
    check_address(farm, held)
    return WorkerConfig(
        farm=farm,
        state=state or default_state_dir("worker"),
        name=name,
        labels=arguments.pairs("--label", labels, "KEY=VALUE"),
        runtimes=arguments.runtimes(runtimes),
        emulated=emulated,
        credentials=held,
        profile=arguments.one_of("--profile", profile, tuple(PROFILES)) if profile else "",
    )


def _is_public(listen: str) -> bool:
    try:
        return needs_tls(listen)
    except ValueError as error:
        raise ValueError(f"--listen: {error}") from None


def _own_key_pair(certificate: Path | None, key: Path | None) -> KeyPair | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ValueError("--tls-cert and --tls-key belong together: give both or none")
    return read_key_pair(certificate, key, datetime.now(UTC))


def _serving(address: str, state: Path, credentials: Path | None) -> list[str]:
    """What a started coordinator says: where it is, where the secrets are, and the next commands."""
    host, port = parse_address(address)
    lines = [f"Coordinator listening on {address}; state in {state}. Ctrl-C stops it."]
    if credentials is None:
        return [
            *lines,
            f"Next, on this machine: device-farm worker --farm {address}",
            f"Then: device-farm measure MODEL.tflite --farm {address}",
        ]
    reached = join_address(socket.gethostname(), port) if host in ANY_ADDRESS else address
    return [
        *lines,
        f"Connections are encrypted, and each role has a secret file in {credentials}:",
        "worker.json for devices, user.json for those who measure, operator.json for those who run the fleet.",
        "Next, on a device, with a copy of worker.json:",
        f"  device-farm worker --farm {reached} --credentials worker.json",
        "Then, where you measure, with a copy of user.json:",
        f"  device-farm measure MODEL.tflite --farm {reached} --credentials user.json",
    ]


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
