"""NYU Depth v2's labelled file: pixels, units, unknown depth, border, splits, and files of another form."""

import os
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from nyu_files import nyu_arrays, write_matlab
from scipy.io import savemat

from sweep.data import Dataset, DatasetError, open_source, prepare_dataset, prepare_test_split
from sweep.data.nyu import VALIDATION_SHARE

SCENES = tuple(f"{kind}_{number:04d}" for number in range(1, 6) for kind in ("kitchen", "bedroom"))
PAIRS = 30


def silent(_step: str, _done: int, _total: int) -> None:
    pass


def scene_of(number: int) -> str:
    """Three pairs of a scene follow each other, as in the real file."""
    return SCENES[(number - 1) // 3]


def write(directory: Path, **changes: object) -> Path:
    """A file of 30 pairs in ten scenes; ``changes`` replace variables, None leaves one out."""
    variables: dict[str, object] = {
        **nyu_arrays(PAIRS),
        "scenes": [scene_of(n) for n in range(1, PAIRS + 1)],
        **changes,
    }
    arrays = {name: value for name, value in variables.items() if isinstance(value, np.ndarray)}
    texts = {name: value for name, value in variables.items() if isinstance(value, list)}
    return write_matlab(directory / "nyu_depth_v2_labeled.mat", arrays, texts)


def prepare(file: Path) -> Dataset:
    return prepare_dataset(file, file.parent / "cache", silent)


def problem_of(file: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        prepare(file)
    (problem,) = caught.value.problems
    return problem


@pytest.fixture
def nyu(tmp_path: Path) -> Path:
    return write(tmp_path)


def test_pairs_arrive_upright_in_millimetres_without_their_border(nyu: Path) -> None:
    truth = nyu_arrays(PAIRS)
    frames = open_source(nyu).scan(("train", "validation")).frames
    (listed,) = [frame for split in frames.values() for frame in split if frame.name == "0011"]
    rgb, depth_mm = listed.rgb(), listed.depth_mm()
    assert (rgb.dtype, depth_mm.dtype) == (np.uint8, np.uint16)
    np.testing.assert_array_equal(rgb, truth["images"][8:-8, 8:-8, :, 10])
    metres = truth["rawDepths"][8:-8, 8:-8, 10].astype(np.float64)
    expected = np.array([[round(1000 * value) for value in row] for row in metres])
    np.testing.assert_array_equal(depth_mm, expected)
    assert (depth_mm == 0).mean() == pytest.approx(
        0.2, abs=0.05
    )  # the holes, which ``depths`` has painted in


def test_what_is_no_depth_or_does_not_fit_16_bits_is_unknown(tmp_path: Path) -> None:
    arrays = nyu_arrays(PAIRS)
    values = [np.nan, np.inf, -1.0, 65.5351, 65.6, 65.535, 0.0004, 0.001]
    arrays["rawDepths"][8, 8:16, :] = np.array(values, np.float32)[:, None]
    frame = open_source(write(tmp_path, **arrays)).scan(("train",)).frames["train"][0]
    assert frame.depth_mm()[0, :8].tolist() == [0, 0, 0, 65535, 0, 65535, 0, 1]


def test_validation_has_whole_scenes_and_at_least_its_share(nyu: Path) -> None:
    dataset = prepare(nyu)
    train, validation = ({int(name) for name in split.names} for split in (dataset.train, dataset.validation))
    assert train | validation == set(range(1, PAIRS + 1))
    assert not {scene_of(n) for n in train} & {scene_of(n) for n in validation}
    assert VALIDATION_SHARE * PAIRS <= len(validation) < VALIDATION_SHARE * PAIRS + 3
    assert (dataset.name, dataset.is_demo) == ("nyu_depth_v2_labeled", False)


def test_a_scene_stays_in_its_split_when_pairs_are_added_to_it(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    scenes = [scene_of(n) for n in range(1, PAIRS + 1)]
    few, more = write(tmp_path), write(tmp_path / "more", **nyu_arrays(2 * PAIRS), scenes=scenes * 2)
    held = []
    for file in (few, more):
        frames = open_source(file).scan(("validation",)).frames["validation"]
        held.append({scenes[(int(frame.name) - 1) % PAIRS] for frame in frames})
    assert held[0] == held[1]


@pytest.mark.parametrize("modern", [False, True])
def test_the_official_split_beside_the_file_holds_its_test_pairs_back(nyu: Path, modern: bool) -> None:
    test = [n for n in range(1, PAIRS + 1) if scene_of(n).startswith("bedroom")]
    train = [n for n in range(1, PAIRS + 1) if n not in test]
    columns = {"trainNdxs": np.array(train, float)[:, None], "testNdxs": np.array(test, float)[:, None]}
    splits = nyu.with_name("splits.mat")
    if modern:
        write_matlab(splits, columns)
    else:
        savemat(splits, columns)
    dataset = prepare(nyu)
    searched = Counter(map(int, dataset.train.names + dataset.validation.names))
    assert searched == Counter(train)
    assert not {scene_of(int(n)) for n in dataset.train.names} & {
        scene_of(int(n)) for n in dataset.validation.names
    }
    held_out = prepare_test_split(nyu, nyu.parent / "cache", silent)
    assert [int(name) for name in held_out.names] == test


def test_without_the_official_split_there_is_nothing_held_out_and_the_message_says_so(nyu: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        prepare_test_split(nyu, nyu.parent / "cache", silent)
    assert caught.value.problems == (
        f"test: found no {nyu.with_name('splits.mat')}; judging on held-out pairs needs the official split in it "
        "(trainNdxs and testNdxs), or data with a test split",
    )


def test_the_second_time_nothing_is_read_until_a_file_changes(nyu: Path) -> None:
    first = prepare(nyu)
    steps: list[str] = []
    again = prepare_dataset(str(nyu), nyu.parent / "cache", lambda step, *_: steps.append(step))
    assert (steps, again.path) == ([], first.path)
    os.utime(nyu, ns=(1, 1))
    touched = prepare(nyu)
    assert touched.path != first.path
    assert touched.fingerprint == first.fingerprint
    savemat(nyu.with_name("splits.mat"), {"trainNdxs": np.arange(1, 20), "testNdxs": np.arange(22, 25)})
    assert prepare(nyu).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"images": None},
            "images: found no such data set, but depths, rawDepths, scenes; allowed: (N, 3, W, H) uint8",
        ),
        (
            {"images": np.zeros((20, 30, 3, 4), np.float32)},
            "images: found (4, 3, 30, 20) of float32; allowed: (N, 3, W, H) uint8",
        ),
        (
            {"rawDepths": np.zeros((46, 56, 29), np.float32)},
            "rawDepths: found (29, 56, 46) of float32; allowed: (30, 56, 46) of floats",
        ),
        (
            {"rawDepths": np.zeros((46, 56, 30), np.uint16)},
            "rawDepths: found (30, 56, 46) of uint16; allowed: (30, 56, 46) of floats",
        ),
        ({"scenes": ["a", "b"]}, "scenes: found 2 cells; allowed: a cell array of 30 texts"),
        (
            {"scenes": np.zeros((30, 1))},
            "scenes: found (1, 30) of float64; allowed: a cell array of 30 texts",
        ),
        (
            {"scenes": ["attic"] * 30},
            "scenes: found one scene; allowed: pairs of at least two scenes, one of them for validation",
        ),
    ],
)
def test_a_file_of_another_form_is_an_error_naming_file_dataset_found_and_allowed(
    tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    file = write(tmp_path, **changes)
    assert problem_of(file) == f"{file}: {problem}"


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"trainNdxs": [1, 2]}, "testNdxs: found no such variable, but trainNdxs; allowed: {numbers}"),
        ({"trainNdxs": [0, 2], "testNdxs": [3]}, "trainNdxs: found 0; allowed: {numbers}"),
        ({"trainNdxs": [1, 31], "testNdxs": [3]}, "trainNdxs: found 31; allowed: {numbers}"),
        ({"trainNdxs": [1.5, 2], "testNdxs": [3]}, "trainNdxs: found 1.5; allowed: {numbers}"),
        ({"trainNdxs": [4, 7, 4], "testNdxs": [3]}, "trainNdxs: found 4 twice; allowed: {numbers}"),
        (
            {"trainNdxs": [1, 4], "testNdxs": [4]},
            "testNdxs: found 4, which is in trainNdxs; allowed: other pairs",
        ),
    ],
)
def test_a_split_of_another_form_is_an_error_naming_file_and_variable(
    nyu: Path, columns: dict[str, list[float]], problem: str
) -> None:
    splits = nyu.with_name("splits.mat")
    savemat(splits, columns)
    numbers = "a vector of different whole numbers from 1 to 30"
    assert problem_of(nyu) == f"{splits}: {problem.format(numbers=numbers)}"


def test_what_is_no_matlab_file_of_this_version_is_an_error(tmp_path: Path, nyu: Path) -> None:
    old = tmp_path / "old.mat"
    savemat(old, {"images": np.zeros((2, 2))})
    expected = "allowed: MATLAB's format v7.3, which is HDF5"
    assert problem_of(old) == f"{old}: found no HDF5 file; {expected}"
    cut = tmp_path / "cut.mat"
    cut.write_bytes(nyu.read_bytes()[:3000])
    assert problem_of(cut).startswith(f"{cut}: found a damaged file (")
    nyu.with_name("splits.mat").write_bytes(b"no such thing at all")
    assert problem_of(nyu).startswith(f"{nyu.with_name('splits.mat')}: found no MATLAB file (")


def test_a_pair_that_cannot_be_read_is_named_with_its_number(nyu: Path) -> None:
    with h5py.File(nyu, "r+") as file:
        file["rawDepths"][4] = 0
        images = file["images"]
        chunk = images.id.get_chunk_info_by_coord((0, 0, 0, 0))
    content = bytearray(nyu.read_bytes())
    place = chunk.byte_offset + 512  # HDF5 counts from behind MATLAB's header
    content[place : place + chunk.size] = bytes(chunk.size)
    nyu.write_bytes(bytes(content))
    with pytest.raises(DatasetError) as caught:
        prepare(nyu)
    assert "rawDepths, number 5: all depth is unknown (0)" in caught.value.problems
    unreadable = "images, number 1: values that cannot be read"
    assert any(problem.startswith(unreadable) for problem in caught.value.problems)
