import hashlib
import json
import os

import pytest
from farm_models import add_model
from hypothesis import given
from hypothesis import strategies as st

from device_farm.acceptance import RefusedModel
from device_farm.state import JobLog, ModelStore, StateInUse, StateLock, default_state_dir, stable_device_id

HEADER = b"\x20\0\0\0TFL3"


def store_model(store: ModelStore, data: bytes, age: int = 0) -> str:
    with store.begin_upload() as upload:
        upload.write(data)
        sha256 = upload.commit()
    os.utime(store.path(sha256), ns=(10**18 - age, 10**18 - age))
    return sha256


def test_a_model_is_kept_under_its_content_hash(tmp_path):
    store, data = ModelStore(tmp_path), add_model()
    sha256 = store_model(store, data)
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert store.path(sha256).read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == [sha256]


def test_an_upload_that_is_not_committed_leaves_nothing(tmp_path):
    store = ModelStore(tmp_path)
    with store.begin_upload() as upload:
        upload.write(add_model())
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_left_behind_is_removed(tmp_path):
    (tmp_path / "half.partial").write_bytes(b"x")
    ModelStore(tmp_path)
    assert list(tmp_path.iterdir()) == []


@given(st.binary(max_size=40), st.integers(1, 9))
def test_bytes_are_taken_only_with_the_identifier_however_they_are_cut(tmp_path_factory, data, step):
    folder = tmp_path_factory.mktemp("store")
    valid = len(data) >= 8 and data[4:8] == b"TFL3"

    def upload() -> None:
        with ModelStore(folder).begin_upload() as upload:
            for start in range(0, len(data), step):
                upload.write(data[start : start + step])
            upload.commit()

    if valid:
        upload()
    else:
        with pytest.raises(RefusedModel):
            upload()
    assert len(list(folder.iterdir())) == valid


def test_an_upload_stops_at_its_bound(tmp_path):
    with ModelStore(tmp_path).begin_upload(max_model_bytes=100) as upload:
        upload.write(HEADER + bytes(92))
        with pytest.raises(RefusedModel, match="larger than"):
            upload.write(b"x")


@pytest.mark.parametrize("name", ["../lock", "a" * 63, "A" * 64, ""])
def test_only_hashes_name_files(tmp_path, name):
    (tmp_path / "lock").write_text("")
    assert ModelStore(tmp_path / "models").path(name) is None


def test_the_oldest_models_go_first_except_those_in_use(tmp_path):
    store = ModelStore(tmp_path, max_bytes=250)
    oldest, old, middle, young = (
        store_model(store, HEADER + bytes([age]) * 92, age) for age in (40, 30, 20, 10)
    )
    store.trim(keep={oldest})
    assert {path.name for path in tmp_path.iterdir()} == {oldest, middle, young}
    assert store.path(old) is None


def test_the_device_id_is_made_once(tmp_path):
    first = stable_device_id(tmp_path)
    assert len(first) == 32
    assert stable_device_id(tmp_path) == first


def test_a_state_folder_belongs_to_one_process_at_a_time(tmp_path):
    with StateLock(tmp_path), pytest.raises(StateInUse, match="in use by another process"):
        StateLock(tmp_path).__enter__()
    with StateLock(tmp_path):
        pass


def test_the_job_log_is_one_json_object_a_line(tmp_path):
    log = JobLog(tmp_path / "jobs.jsonl")
    log.append("submitted", "j1", model_sha256="ab")
    log.append("failed", "j1", message="two\nlines")
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "jobs.jsonl").read_text().splitlines()]
    assert all(line.pop("time") > 0 for line in lines)
    assert lines == [
        {"event": "submitted", "job": "j1", "model_sha256": "ab"},
        {"event": "failed", "job": "j1", "message": "two\nlines"},
    ]


def test_the_default_state_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state_dir("worker") == tmp_path / "device-farm" / "worker"
