"""Prepared once, whole or not at all, also when several processes ask."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sweep.data import DatasetError, contact_sheet, default_cache, load_dataset, prepare_dataset
from sweep.data.cache import build_once
from sweep.data.contact_sheet import colour_depth

PREPARE = """
import sys
from pathlib import Path
from sweep.data import prepare_dataset
steps = []
dataset = prepare_dataset(Path(sys.argv[1]), Path(sys.argv[2]), lambda step, *_: steps.append(step))
print(dataset.fingerprint, dataset.path.name, "reading train" in steps)
"""


def silent(_step: str, _done: int, _total: int) -> None:
    pass


def test_the_second_time_nothing_is_read(real_pairs: Path, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    first = prepare_dataset(real_pairs, tmp_path / "cache", lambda *step: steps.append(step))
    assert steps == [("reading train", n, 4) for n in range(1, 5)] + [
        ("reading validation", n, 2) for n in (1, 2)
    ]
    steps.clear()
    again = prepare_dataset(real_pairs, tmp_path / "cache", lambda *step: steps.append(step))
    assert steps == []
    assert (again.fingerprint, again.path) == (first.fingerprint, first.path)


def test_a_worker_opens_what_was_prepared(real_pairs: Path, tmp_path: Path) -> None:
    prepared = prepare_dataset(real_pairs, tmp_path / "cache", silent)
    opened = load_dataset(prepared.path)
    assert (opened.name, opened.fingerprint, opened.is_demo) == (prepared.name, prepared.fingerprint, False)
    assert opened.train.names == prepared.train.names
    np.testing.assert_array_equal(opened.validation.depth_mm, prepared.validation.depth_mm)


def test_two_processes_prepare_at_once_and_one_of_them_works(real_pairs: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PREPARE, str(real_pairs), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    results = [process.communicate()[0].split() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert results[0][:2] == results[1][:2]
    assert sorted(result[2] for result in results) == ["False", "True"]
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == [results[0][1]]


def test_an_interrupt_leaves_nothing_and_the_next_attempt_succeeds(real_pairs: Path, tmp_path: Path) -> None:
    def interrupt(_step: str, done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_dataset(real_pairs, tmp_path / "cache", interrupt)
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []
    assert len(prepare_dataset(real_pairs, tmp_path / "cache", silent).train) == 4


def test_the_remains_of_a_killed_process_are_cleared_away(real_pairs: Path, tmp_path: Path) -> None:
    finished = prepare_dataset(real_pairs, tmp_path / "cache", silent)
    remains = finished.path.with_name(f"{finished.path.name}.tmp-killed")
    finished.path.rename(remains)
    again = prepare_dataset(real_pairs, tmp_path / "cache", silent)
    assert again.fingerprint == finished.fingerprint
    assert not remains.exists()


def test_a_full_disk_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    def build(_draft: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(
        DatasetError, match="No space left on device; free some space or set DEPTH_SWEEP_CACHE"
    ):
        build_once(tmp_path, "key", silent, build)


def test_a_cache_that_cannot_be_written_is_an_error_naming_it(real_pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot write the cache"):
        prepare_dataset(real_pairs, tmp_path / "file" / "cache", silent)


def test_what_is_not_a_prepared_data_set_is_refused(real_pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not a prepared data set"):
        load_dataset(tmp_path)
    prepared = prepare_dataset(real_pairs, tmp_path / "cache", silent)
    newer = tmp_path / "newer"
    shutil.copytree(prepared.path, newer)
    manifest = json.loads((newer / "manifest.json").read_text())
    (newer / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(DatasetError, match="format 99, this version reads 1"):
        load_dataset(newer)


def test_the_default_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("DEPTH_SWEEP_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache() == Path("/home/someone/.cache/depth-sweep")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert default_cache() == Path("/var/cache/depth-sweep")
    monkeypatch.setenv("DEPTH_SWEEP_CACHE", "/fast")
    assert default_cache() == Path("/fast")


def test_the_contact_sheet_shows_pictures_above_their_depth(real_pairs: Path, tmp_path: Path) -> None:
    dataset = prepare_dataset(real_pairs, tmp_path / "cache", silent)
    sheet = contact_sheet(dataset, 2)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (2 * 368, 4 * 244, 3)
    first = dataset.train.rgb[0].astype(float)
    assert np.abs(sheet[:180, :240].mean(axis=(0, 1)) - first.mean(axis=(0, 1))).max() < 2


def test_depth_colours_run_from_bright_to_dark_and_unknown_is_black() -> None:
    depth_mm = np.array([[0, 400, 1000, 3000, 10_000, 50_000]], np.uint16)
    brightness = colour_depth(depth_mm).sum(axis=-1)[0]
    assert brightness[0] == 0
    assert (np.diff(brightness[1:].astype(int)) < 0).all()
    assert brightness[-1] > 60
