"""``device-farm devices`` and the orders to one device."""

from typing import Annotated

import typer
from rich.console import Console, RenderableType

from device_farm.cli import watching
from device_farm.cli.arguments import CredentialsOption, FarmOption, JsonOption
from device_farm.cli.connection import connect
from device_farm.cli.console import open_console, print_json, show
from device_farm.cli.errors import explained_errors
from device_farm.cli.fleet_view import fleet
from device_farm.cli.wording import short_id
from device_farm.jobs import DeviceAction, DeviceOrder
from device_farm.types import Device, NoSuchDevice, device_to_json

DeviceArgument = Annotated[
    str, typer.Argument(metavar="DEVICE", help="The device's name, its id, or the beginning of its id.")
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Shown to everybody who asks.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to ``app``."""
    for command in (devices, drain, resume, quarantine, remove):
        app.command()(command)


def devices(
    farm: FarmOption,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, each second, until Ctrl-C; in a pipe: at each change.")
    ] = False,
    as_json: JsonOption = False,
    credentials: CredentialsOption = None,
) -> None:
    """List the devices of a farm.

    SCALE is how long the reference model takes beside other devices of the class: above 1 is a slower board.
    """

    def view(found: tuple[Device, ...], console: Console) -> RenderableType:
        return fleet(found, farm, console, secured=credentials is not None)

    with explained_errors(), connect(farm, credentials) as client:
        if watch:
            watching.watch(client.devices, view, farm, as_json=as_json)
        elif as_json:
            print_json([device_to_json(device) for device in client.devices()])
        else:
            show(view(client.devices(), open_console()))


def drain(
    device: DeviceArgument, farm: FarmOption, reason: ReasonOption = "", credentials: CredentialsOption = None
) -> None:
    """Let a device end its job and give it no other one."""
    _order(farm, credentials, device, "drain", reason)


def resume(
    device: DeviceArgument,
    farm: FarmOption,
    recalibrate: Annotated[
        bool,
        typer.Option("--recalibrate", help="Set the reference model's baseline anew: the board was changed."),
    ] = False,
    credentials: CredentialsOption = None,
) -> None:
    """Give jobs to a drained or quarantined device again."""
    _order(farm, credentials, device, "resume", "", recalibrate=recalibrate)


def quarantine(
    device: DeviceArgument, farm: FarmOption, reason: ReasonOption = "", credentials: CredentialsOption = None
) -> None:
    """Trust a device no longer.

    The job that it runs is measured elsewhere, and it gets no other one.
    """
    _order(farm, credentials, device, "quarantine", reason)


def remove(device: DeviceArgument, farm: FarmOption, credentials: CredentialsOption = None) -> None:
    """Forget a device that is gone for good."""
    _order(farm, credentials, device, "remove", "")


def _order(
    farm: str,
    credentials: CredentialsOption,
    device: str,
    action: DeviceAction,
    reason: str,
    *,
    recalibrate: bool = False,
) -> None:
    with explained_errors(), connect(farm, credentials) as client:
        found = find_device(client.devices(), device)
        order = DeviceOrder(found.device_id, action, reason, recalibrate)
        typer.echo(client.order(order))


def find_device(devices: tuple[Device, ...], text: str) -> Device:
    """The one device with this id or name, or whose id begins so.

    Raises:
        NoSuchDevice: there is none; lists those that there are.
        ValueError: there are several.
    """
    exact = [device for device in devices if text in (device.device_id, device.name)]
    found = exact or [device for device in devices if text and device.device_id.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"DEVICE {text!r} may be {_listed(found)}; give more of the id")
    known = _listed(devices) or "no device"
    raise NoSuchDevice(f"no device has the name or id {text!r}; the farm has {known}")


def _listed(devices: list[Device] | tuple[Device, ...]) -> str:
    return ", ".join(f"{device.name} ({short_id(device.device_id)})" for device in devices)
