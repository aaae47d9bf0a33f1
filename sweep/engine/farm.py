"""The device farm of a sweep: one that is running, or one of this machine for as long as it is needed."""

from contextlib import ExitStack
from pathlib import Path

from device_farm.addresses import is_loopback, parse_address
from device_farm.client import FarmClient
from device_farm.credentials import default_credentials
from device_farm.local import LocalFarm


def open_farm(stack: ExitStack, address: str | None, state: Path) -> FarmClient:
    """A client of the farm at ``address`` (HOST:PORT), or of one started here that keeps its state in ``state``.

    A farm on another machine asks for credentials: those that DEVICE_FARM_CREDENTIALS names.

    Raises:
        ValueError: the address is malformed, or its credentials are missing or unusable.
        FarmUnavailable: the farm of this machine does not start.
    """
    if address is None:
        return stack.enter_context(FarmClient(stack.enter_context(LocalFarm(state)).address))
    return stack.enter_context(FarmClient(address, credentials=default_credentials()))


def is_here(address: str | None) -> bool:
    """True if the farm's devices may be this machine."""
    return address is None or is_loopback(parse_address(address)[0])
