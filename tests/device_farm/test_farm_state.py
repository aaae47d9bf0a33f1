import hashlib
import os

import pytest
from farm_models import add_model
from hypothesis import given
from hypothesis import strategies as st

from device_farm.coordinator.model_store import ModelStore
from device_farm.model_files.model_check import RefusedModel
from device_farm.state import StateInUse, StateLock, default_state_dir

MODEL = add_model()


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


@given(st.integers(1, 2 * len(MODEL)), st.integers(1, len(MODEL)), st.binary(max_size=9))
def test_whole_files_are_taken_and_cut_ones_refused_however_they_are_sent(tmp_path_factory, step, kept, tail):
    folder = tmp_path_factory.mktemp("store")

    def upload(data: bytes) -> None:
        with ModelStore(folder).begin_upload() as upload:
            for start in range(0, len(data), step):
                upload.write(data[start : start + step])
            upload.commit()

    upload(MODEL + tail)
    with pytest.raises(RefusedModel):
        upload(MODEL[: kept - 1])
    assert [path.read_bytes() for path in folder.iterdir()] == [MODEL + tail]


def test_an_upload_stops_at_its_bound(tmp_path):
    with ModelStore(tmp_path).begin_upload(max_model_bytes=len(MODEL)) as upload:
        upload.write(MODEL)
        with pytest.raises(RefusedModel, match="larger than"):
            upload.write(b"x")


@pytest.mark.parametrize("name", ["../lock", "a" * 63, "A" * 64, ""])
def test_only_hashes_name_files(tmp_path, name):
    (tmp_path / "lock").write_text("")
    assert ModelStore(tmp_path / "models").path(name) is None


def test_the_oldest_models_go_first_except_those_in_use(tmp_path):
    store = ModelStore(tmp_path, max_bytes=2 * len(MODEL) + 200)
    oldest, old, middle, young = (store_model(store, MODEL + bytes([age]), age) for age in (40, 30, 20, 10))
    store.trim(keep={oldest})
    assert {path.name for path in tmp_path.iterdir()} == {oldest, middle, young}
    assert store.path(old) is None


def test_a_state_folder_belongs_to_one_process_at_a_time(tmp_path):
    with StateLock(tmp_path), pytest.raises(StateInUse, match="in use by another process"):
        StateLock(tmp_path).__enter__()
    with StateLock(tmp_path):
        pass


def test_the_default_state_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state_dir("worker") == tmp_path / "device-farm" / "worker"
