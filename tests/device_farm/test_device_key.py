"""A device's secret: made once, kept for its owner's eyes alone."""

import re

import pytest

from device_farm.credentials import BadCredentials
from device_farm.worker.identity import device_key


def test_a_key_is_made_once_and_its_owner_alone_may_read_it(tmp_path):
    first = device_key(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{64}", first)
    assert device_key(tmp_path) == first
    (file,) = tmp_path.iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("device_key", 0o600)


def test_two_devices_have_two_keys(tmp_path):
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    one, other = map(device_key, folders)
    assert one != other


@pytest.mark.parametrize("text", ["", "abc", "0" * 63, "0" * 65, "g" * 64])
def test_a_damaged_key_is_named_and_not_replaced(tmp_path, text):
    path = tmp_path / "device_key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(BadCredentials, match=f"{re.escape(str(path))}: expected 64 hexadecimal digits"):
        device_key(tmp_path)
    assert path.read_text() == text


def test_a_key_that_others_may_read_is_refused(tmp_path):
    device_key(tmp_path)
    (tmp_path / "device_key").chmod(0o644)
    with pytest.raises(BadCredentials, match="others may read it"):
        device_key(tmp_path)
