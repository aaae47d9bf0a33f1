"""Who a device is: a secret of its own, from which its id is derived (``jobs.device_id_of``)."""

import re
import secrets
from pathlib import Path

from device_farm.credentials import BadCredentials, read_private, write_private

DEVICE_KEY_BYTES = 32
_DEVICE_KEY = re.compile(rf"[0-9a-f]{{{2 * DEVICE_KEY_BYTES}}}")


def device_key(folder: Path) -> str:
    """The device's secret, made at the first start and kept in the folder, for its owner's eyes alone.

    Raises:
        BadCredentials: the file is damaged, or others may read it; the message names it.
    """
    path = folder / "device_key"
    if not path.exists():
        write_private(path, secrets.token_hex(DEVICE_KEY_BYTES) + "\n")
    key = read_private(path).strip()
    if not _DEVICE_KEY.fullmatch(key):
        raise BadCredentials(
            f"{path}: expected {2 * DEVICE_KEY_BYTES} hexadecimal digits; without the file, the device joins as "
            "a new one"
        )
    return key
