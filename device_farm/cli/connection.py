"""Opens the client of a farm as the options say."""

from pathlib import Path

from device_farm.cli.arguments import farm_address
from device_farm.client import FarmClient
from device_farm.credentials import load_credentials


def connect(farm: str, credentials: Path | None, device_wait_seconds: float = 15.0) -> FarmClient:
    """A client, to be used as a context manager.

    Raises:
        ValueError: the address is malformed, or the credentials file cannot be used.
    """
    held = None if credentials is None else load_credentials(credentials)
    return FarmClient(farm_address(farm), credentials=held, device_wait_seconds=device_wait_seconds)
