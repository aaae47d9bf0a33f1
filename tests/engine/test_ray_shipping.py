"""Files on their way between a driver's folder and a trainer that does not see it; without Ray in between."""

import errno
import hashlib
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweep.data import Dataset, load_dataset
from sweep.data.cache import reserve_split, write_manifest
from sweep.engine import shipping
from sweep.engine.attempt_files import SharedFiles, ShippedFiles, attempt_files
from sweep.engine.attempt_spec import AttemptSpec
from sweep.engine.shipping import FileStation, Home, NotServed, Station, boot_id


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that every file takes several."""
    monkeypatch.setattr(shipping, "CHUNK_BYTES", 1000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sweep's, on the driver's machine."""
    (tmp_path / "driver" / "mini").mkdir(parents=True)
    return tmp_path / "driver" / "mini"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Prepared data in the driver's cache."""
    path = tmp_path / "driver" / "cache" / "abc"
    path.mkdir(parents=True)
    names = {"train": ("a", "b"), "validation": ("c",)}
    for number, (split, of_split) in enumerate(names.items()):
        rgb, depth_mm = reserve_split(path, split, len(of_split))
        rgb[:], depth_mm[:] = number + 1, 1000 * (number + 1)
        rgb.flush()
        depth_mm.flush()
    write_manifest(path, "tiny", names, is_demo=False)
    return load_dataset(path)


class Line:
    """Reaches a station, and counts the calls."""

    def __init__(self, station: FileStation) -> None:
        self.station = station
        self.calls: list[str] = []

    def __call__(self, method: str, *arguments: Any) -> Any:
        self.calls.append(method)
        return getattr(self.station, method)(*arguments)


@pytest.fixture
def line(folder: Path, dataset: Dataset) -> Line:
    return Line(FileStation(str(folder), str(dataset.path), str(folder / "stop")))


@pytest.fixture
def spec(folder: Path, dataset: Dataset) -> AttemptSpec:
    return AttemptSpec(
        trial=7,
        attempt=2,
        candidate={},
        to_epoch=4,
        checkpoint=None,
        checkpoint_directory=str(folder / "trials" / "0007" / "checkpoints"),
        dataset_path=str(dataset.path),
        max_epochs=4,
        seed=0,
        threads=1,
        use_gpu=False,
        stop_flag=str(folder / "stop"),
        quiet_directory=None,
    )


def home_of(folder: Path, dataset: Dataset, token: str = "t") -> Home:
    return Home("station", str(folder / "token"), token, dataset.fingerprint, boot_id())


def content(size: int) -> bytes:
    return np.random.default_rng(size).bytes(size)


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 4500])
def test_a_file_comes_back_as_it_was_sent(tmp_path: Path, folder: Path, line: Line, size: int) -> None:
    (tmp_path / "mine").write_bytes(content(size))
    path = str(folder / "trials" / "0007" / "epoch-0001.pt")
    Station(line).send(tmp_path / "mine", path, "attempt-1")
    Station(line).fetch(path, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content(size)
    assert [file.name for file in Path(path).parent.iterdir()] == ["epoch-0001.pt"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path, folder: Path, line: Line) -> None:
    path = folder / "epoch-0001.pt"
    path.write_bytes(b"old")
    line.station.write(str(path), "attempt-1", 0, b"half of")
    assert path.read_bytes() == b"old"
    (tmp_path / "mine").write_bytes(b"new")
    Station(line).send(tmp_path / "mine", str(path), "attempt-2")
    assert path.read_bytes() == b"new"
    assert sorted(file.name for file in folder.iterdir()) == ["epoch-0001.pt"]  # what died on its way is gone


def test_a_call_that_is_made_twice_changes_nothing(folder: Path, line: Line) -> None:
    path, digest = str(folder / "epoch-0001.pt"), hashlib.sha256(b"abcdef").hexdigest()
    for offset, data in ((0, b"abc"), (3, b"def"), (3, b"def")):
        line.station.write(path, "attempt-1", offset, data)
    line.station.commit(path, "attempt-1", digest)
    line.station.commit(path, "attempt-1", digest)
    assert Path(path).read_bytes() == b"abcdef"


def test_a_damaged_file_is_refused_and_forgotten(folder: Path, line: Line) -> None:
    path = str(folder / "epoch-0001.pt")
    line.station.write(path, "attempt-1", 0, b"abX")
    with pytest.raises(OSError, match="arrived damaged"):
        line.station.commit(path, "attempt-1", hashlib.sha256(b"abc").hexdigest())
    assert list(folder.iterdir()) == []


def test_nothing_outside_the_sweep_and_its_data_is_served(tmp_path: Path, folder: Path, line: Line) -> None:
    secret = tmp_path / "driver" / "secret"
    secret.write_text("s")
    (folder / "link").symlink_to(secret)
    for path in (secret, folder / ".." / "secret", folder / "link"):
        with pytest.raises(NotServed):
            line.station.read(str(path), 0, 1)
        with pytest.raises(NotServed):
            line.station.write(str(path), "attempt-1", 0, b"x")
    assert secret.read_text() == "s"


def test_the_data_set_may_be_read_but_not_written(dataset: Dataset, line: Line) -> None:
    path = str(dataset.path / "manifest.json")
    assert line.station.read(path, 0, 10**6) == Path(path).read_bytes()
    with pytest.raises(NotServed):
        line.station.write(path, "attempt-1", 0, b"x")


def test_a_data_set_is_fetched_once_for_all_attempts_of_a_machine(
    tmp_path: Path, dataset: Dataset, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTH_SWEEP_CACHE", str(tmp_path / "trainer"))
    station = Station(line)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: station.dataset(str(dataset.path), dataset.fingerprint), range(4)))
    assert len(set(paths)) == 1
    assert paths[0].parent == tmp_path / "trainer"
    assert line.calls.count("sizes") == 1
    copy = load_dataset(paths[0])
    assert (copy.name, copy.fingerprint) == ("tiny", dataset.fingerprint)
    np.testing.assert_array_equal(copy.train.rgb, dataset.train.rgb)
    np.testing.assert_array_equal(copy.validation.depth_mm, dataset.validation.depth_mm)


def test_attempts_far_away_train_from_copies_and_bring_the_result_home(
    tmp_path: Path,
    folder: Path,
    dataset: Dataset,
    spec: AttemptSpec,
    line: Line,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEPTH_SWEEP_CACHE", str(tmp_path / "trainer"))
    start = folder / "trials" / "0007" / "checkpoints" / "epoch-0002.pt"
    start.parent.mkdir(parents=True)
    start.write_bytes(content(2500))
    away = tmp_path / "away"
    hidden = replace(spec, dataset_path=str(away), checkpoint=str(start))
    shutil.copytree(dataset.path, tmp_path / "driver" / "cache" / "hidden")

    files = ShippedFiles(hidden, home_of(folder, dataset), Station(line))
    with files.start_checkpoint() as copy:
        assert copy is not None
        assert not copy.is_relative_to(folder)
        assert copy.read_bytes() == content(2500)
    assert not copy.exists()
    written: list[Path] = []

    def write(path: Path) -> None:
        written.append(path)
        path.write_bytes(content(3500))

    saved = files.save(3, write)
    assert saved == str(start.with_name("epoch-0003.pt"))
    assert Path(saved).read_bytes() == content(3500)
    assert not written[0].is_relative_to(folder)
    assert not written[0].exists()
    with ShippedFiles(spec, home_of(folder, dataset), Station(line)).start_checkpoint() as nothing:
        assert nothing is None


def test_the_teacher_travels_too(folder: Path, dataset: Dataset, spec: AttemptSpec, line: Line) -> None:
    path = folder / "teacher" / "epoch-0003.pt"
    path.parent.mkdir()
    path.write_bytes(content(2500))
    with ShippedFiles(spec, home_of(folder, dataset), Station(line)).teacher(str(path)) as copy:
        assert not copy.is_relative_to(folder)
        assert copy.read_bytes() == content(2500)
    assert not copy.exists()
    with SharedFiles(spec).teacher(str(path)) as shared:
        assert shared == path


def test_the_stop_flag_is_looked_at_once_a_second(
    folder: Path, dataset: Dataset, spec: AttemptSpec, line: Line
) -> None:
    clock = [50.0]
    files = ShippedFiles(spec, home_of(folder, dataset), Station(line), lambda: clock[0])
    assert not files.stop_requested()
    (folder / "stop").touch()
    clock[0] += 0.9
    assert not files.stop_requested()
    clock[0] += 0.1
    assert files.stop_requested()
    assert files.stop_requested()
    assert line.calls == ["stop_requested"] * 2


def test_whoever_reads_the_token_shares_the_folder(folder: Path, dataset: Dataset, spec: AttemptSpec) -> None:
    home = home_of(folder, dataset)
    assert not home.shares_folder  # no such file
    (folder / "token").write_text("of another sweep with the same path on another machine")
    assert not home.shares_folder
    (folder / "token").write_text("t")
    assert home.shares_folder
    assert isinstance(attempt_files(spec, home), SharedFiles)
    assert isinstance(attempt_files(spec, None), SharedFiles)
    assert Home.from_config(home.to_config()) == home


def test_shared_files_are_used_where_they_are(folder: Path, dataset: Dataset, spec: AttemptSpec) -> None:
    (folder / "token").write_text("t")
    files = attempt_files(replace(spec, checkpoint="/somewhere/epoch-0001.pt"), home_of(folder, dataset))
    assert files.dataset() == dataset.path
    with files.start_checkpoint() as checkpoint:
        assert checkpoint == Path("/somewhere/epoch-0001.pt")
    saved = files.save(2, lambda path: path.write_bytes(b"state") and None)
    assert Path(saved) == folder / "trials" / "0007" / "checkpoints" / "epoch-0002.pt"
    assert Path(saved).read_bytes() == b"state"
    assert not files.stop_requested()
    (folder / "stop").touch()
    assert files.stop_requested()


def test_a_full_disk_at_home_reaches_the_trainer_with_its_number(tmp_path: Path, folder: Path) -> None:
    def full(method: str, *_arguments: Any) -> Any:
        raise OSError(errno.ENOSPC, f"no space for {method}")

    (tmp_path / "mine").write_bytes(b"x")
    send: Callable[..., None] = Station(full).send
    with pytest.raises(OSError, match="no space for write") as caught:
        send(tmp_path / "mine", str(folder / "a"), "attempt-1")
    assert caught.value.errno == errno.ENOSPC
