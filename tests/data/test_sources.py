"""Sources behind the port: what an address means, one's own readers, and caches that stay valid."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import own_sources
import pytest
from real_pairs import write_pair

from sweep.data import DatasetError, load_dataset, open_source, prepare_dataset, prepare_test_split
from sweep.data.folder import Folder
from sweep.data.nyu import NyuDepthV2

IMPORTABLE = "package.module:Name of something that can be imported"
UNFIT = (
    "; allowed: a class or function that, called without arguments, returns a sweep.data.Source with texts as "
    "name and kind"
)


def silent(_step: str, _done: int, _total: int) -> None:
    pass


def problems_of(data: object, cache: Path) -> tuple[str, ...]:
    with pytest.raises(DatasetError) as caught:
        prepare_dataset(data, cache, silent)
    return caught.value.problems


def enlarged(seed: int, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(own_sources.picture(seed), size[::-1], interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("address", ["own_sources:Office", "own_sources:office"])
def test_a_source_of_ones_own_is_named_by_its_import_path(address: str, tmp_path: Path) -> None:
    dataset = prepare_dataset(address, tmp_path / "cache", silent)
    assert (dataset.name, dataset.is_demo) == ("office", False)
    assert dataset.train.names == ("pair-1", "pair-2", "pair-3")
    assert dataset.validation.names == ("pair-4", "pair-5")
    for index, seed in enumerate((1, 2, 3)):
        np.testing.assert_array_equal(dataset.train.rgb[index], enlarged(seed, (240, 320)))
        whole = np.kron(own_sources.depths(seed), np.ones((20, 20), np.uint16))
        np.testing.assert_array_equal(dataset.train.depth_mm[index], whole)
    np.testing.assert_array_equal(dataset.validation.rgb[1], enlarged(5, (480, 640)))


def test_the_source_itself_may_be_given_and_is_prepared_once(tmp_path: Path) -> None:
    steps: list[str] = []
    first = prepare_dataset(own_sources.Office(), tmp_path / "cache", silent)
    again = prepare_dataset("own_sources:Office", tmp_path / "cache", lambda step, *_: steps.append(step))
    assert (steps, again.path) == ([], first.path)
    assert load_dataset(first.path).fingerprint == first.fingerprint


def test_ones_own_held_out_pairs_are_prepared_apart_and_seen_ones_are_refused(tmp_path: Path) -> None:
    held_out = prepare_test_split("own_sources:Office", tmp_path / "cache", silent)
    assert (held_out.name, held_out.names) == ("office-test", ("pair-6",))
    with pytest.raises(DatasetError) as caught:
        prepare_test_split("own_sources:Peeking", tmp_path / "cache", silent)
    assert caught.value.problems == (
        "test/pair-2, picture: the same picture as train/pair-2, picture; allowed: pictures that are in neither "
        "train nor validation",
    )


def test_everything_that_ones_own_reader_gets_wrong_is_reported_at_once(tmp_path: Path) -> None:
    assert problems_of("own_sources:Broken", tmp_path) == (
        "train/a: 2 pairs of one name",
        "train/a, picture: found (12, 16, 3) float64, expected (H, W, 3) uint8",
        "train/a, depth: found (12, 16) float32, expected (H, W) uint16 in millimetres",
        "roll 7, frame 3: the shutter was closed",
        "train/d, depth: 16x12, but its picture is 12x12: not the same aspect ratio",
        "train/e, depth: all depth is unknown (0)",
        "validation: no pairs",
    )
    (problem,) = problems_of("own_sources:Stateless", tmp_path)
    assert problem.startswith("own_sources:Stateless: found a listing with the state {1, 2} (")
    assert problem.endswith("; allowed: plain data, as JSON has it")


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (
            "no_such_package.here:Office",
            "no_such_package.here:Office: found an error (ModuleNotFoundError: No module named "
            f"'no_such_package'); allowed: {IMPORTABLE}",
        ),
        (
            "own_sources:Missing",
            "own_sources:Missing: found an error (AttributeError: module 'own_sources' has no attribute "
            f"'Missing'); allowed: {IMPORTABLE}",
        ),
        ("own_sources:NOTHING", f"own_sources:NOTHING: found a int, which cannot be called{UNFIT}"),
        ("own_sources:Nameless", f"own_sources:Nameless: found a Nameless without name{UNFIT}"),
        (
            "own_sources:Unwilling",
            "own_sources:Unwilling: found an error when called without arguments (TypeError: "
            f"Unwilling.__init__() missing 1 required positional argument: 'path'){UNFIT}",
        ),
    ],
)
def test_an_import_path_that_names_no_source_is_an_error(address: str, problem: str, tmp_path: Path) -> None:
    assert problems_of(address, tmp_path) == (problem,)


def test_folders_and_files_come_before_import_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own_sources:Office").mkdir()
    Path("labeled.MAT").touch()
    assert isinstance(open_source("own_sources:Office"), Folder)
    assert isinstance(open_source("labeled.MAT"), NyuDepthV2)
    assert isinstance(open_source("."), Folder)


def test_caches_and_fingerprints_of_folders_are_those_of_earlier_versions(tmp_path: Path) -> None:
    directory = tmp_path / "pairs"
    rng = np.random.default_rng(1)
    sizes = {"train": (240, 320), "validation": (480, 640), "test": (480, 640)}
    pairs = {
        split: (
            rng.integers(0, 256, (*size, 3), dtype=np.uint8),
            rng.integers(1, 9999, size, dtype=np.uint16),
        )
        for split, size in sizes.items()
    }
    for split, (rgb, depth_mm) in pairs.items():
        write_pair(directory / split, f"of-{split}", rgb, depth_mm)

    def state(*splits: str) -> list[list[object]]:
        files = [directory / s / kind / f"of-{s}.png" for s in splits for kind in ("rgb", "depth")]
        return [[str(f.relative_to(directory)), f.stat().st_size, f.stat().st_mtime_ns] for f in files]

    def digest(*parts: bytes) -> str:
        return hashlib.sha256(b"".join(parts)).hexdigest()[:16]

    def fingerprint(*splits: str) -> str:
        head = {s: json.dumps([s, [f"of-{s}"]]).encode() for s in splits}
        return digest(
            *(part for s in splits for part in (head[s], *(stored(array[None]) for array in pairs[s])))
        )

    def stored(array: np.ndarray) -> bytes:
        file = tmp_path / "array.npy"
        np.save(file, array)
        return file.read_bytes()

    dataset = prepare_dataset(directory, tmp_path / "cache", silent)
    held_out = prepare_test_split(directory, tmp_path / "cache", silent)
    assert dataset.fingerprint == fingerprint("train", "validation")
    assert held_out.fingerprint == fingerprint("test")
    key = json.dumps([1, "folder", "pairs", state("train", "validation")])
    assert dataset.path.name == digest(key.encode())
    key = json.dumps([1, "test folder", "pairs-test", state("test"), dataset.fingerprint])
    assert held_out.path.name == digest(key.encode())
