"""The fleet as a table, or as paragraphs where the terminal is too narrow for one."""

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement as Extent
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from device_farm.cli.console import FILE_WIDTH, plain_table
from device_farm.cli.wording import count, labels, runtime, short_id
from device_farm.jobs import Registration
from device_farm.types import Device

STATE_STYLES = {"idle": "green", "busy": "cyan", "cooling": "yellow", "offline": "red"}
STANDING_STYLES = {"active": "", "draining": "yellow", "quarantined": "red"}


def registered_line(registration: Registration, farm: str) -> str:
    """One line for the worker's log."""
    offers = ", ".join(map(runtime, registration.runtimes))
    rules = f"profile {registration.profile}"
    return (
        f"{registration.name} ({registration.device_class}) registered with {farm}; {rules}; offers {offers}"
    )


def fleet(devices: tuple[Device, ...], farm: str, console: Console, *, secured: bool) -> RenderableType:
    """What ``device-farm devices`` shows; ``secured``: the farm asks for credentials."""
    if not devices:
        credentials = " --credentials worker.json" if secured else ""
        return Text(
            f"No device is registered with {farm}.\n"
            f"Start a worker on one: device-farm worker --farm {farm}{credentials}"
        )
    unbounded = console.options.update_width(FILE_WIDTH)
    for table in (_full_table(devices), _small_table(devices, ", "), _small_table(devices, "\n")):
        if Extent.get(console, unbounded, table).maximum <= console.width:
            return Group(table, *_reasons(devices))
    return Group(*map(_paragraph, devices))


def _full_table(devices: tuple[Device, ...]) -> Table:
    table = plain_table("ID", "NAME", "STATE", "STANDING", "CLASS", "CORES", "SCALE", "RUNTIMES", "LABELS")
    for device in devices:
        offers = ", ".join(map(runtime, device.runtimes))
        table.add_row(short_id(device.device_id), *_summary(device), offers, labels(device.labels))
    return table


def _small_table(devices: tuple[Device, ...], separator: str) -> Table:
    """What matters from day to day; orders take names, too."""
    table = plain_table("NAME", "STATE", "STANDING", "CLASS", "CORES", "SCALE", "RUNTIMES")
    for device in devices:
        table.add_row(*_summary(device), separator.join(offered.name for offered in device.runtimes))
    return table


def _summary(device: Device) -> tuple[Text | str, ...]:
    return (
        Text(device.name, style="bold"),
        Text(device.state, style=STATE_STYLES[device.state]),
        Text(device.standing, style=STANDING_STYLES[device.standing]),
        _kind(device),
        device.facts.get("cores", "unknown"),
        _scale(device),
    )


def _reasons(devices: tuple[Device, ...]) -> list[Text]:
    """Why devices stand as they do, below a table that has no room for it."""
    return [
        Text.assemble((device.name, "bold"), " is ", _standing(device))
        for device in devices
        if device.standing_reason
    ]


def _paragraph(device: Device) -> RenderableType:
    cores = device.facts.get("cores", "")
    headline = Text.assemble(
        (device.name, "bold"),
        f"  {short_id(device.device_id)}  ",
        (device.state, STATE_STYLES[device.state]),
        ", ",
        _standing(device),
    )
    known_cores = count(int(cores), "core") if cores.isdecimal() else "cores unknown"
    lines = [
        f"{_kind(device)}, {known_cores}, scale {_scale(device)}",
        ", ".join(map(runtime, device.runtimes)),
        labels(device.labels),
    ]
    return Group(headline, Padding("\n".join(lines), (0, 0, 0, 2)))


def _standing(device: Device) -> Text:
    reason = f": {device.standing_reason}" if device.standing_reason else ""
    return Text.assemble((device.standing, STANDING_STYLES[device.standing]), reason)


def _kind(device: Device) -> str:
    return f"{device.device_class}, EMULATED" if device.emulated else device.device_class


def _scale(device: Device) -> str:
    """How slow the device is beside others of its class, as a range over its runtimes and delegates."""
    scales = sorted(f"{reference.scale:.2f}" for reference in device.references.values())
    if not scales:
        return "unknown"
    return scales[0] if scales[0] == scales[-1] else f"{scales[0]}-{scales[-1]}"
