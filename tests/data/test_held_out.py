"""The held-out split: out of a search's reach, as strictly checked as the others, and free of seen pictures."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from real_pairs import motorcycle, write_pair, write_real_pairs

from sweep import data
from sweep.data import DatasetError, load_dataset, load_test_split, prepare_dataset, prepare_test_split

RNG = np.random.default_rng(7)
SOURCES = (
    "a folder with train/ and validation/, NYU Depth v2's labelled .mat file, or package.module:Class of a "
    "source of one's own"
)
ALLOWED = "allowed: pictures that are in neither train nor validation"

# Runs a preparation, and prints every path that Python opens or lists below the data folder.
WATCH = """
import sys
from pathlib import Path
from sweep import data

function, directory, cache = sys.argv[1:]
touched = set()

def note(event, args):
    if event in ("open", "os.listdir", "os.scandir") and str(args[0]).startswith(directory):
        touched.add(str(Path(args[0]).relative_to(directory)))

sys.addaudithook(note)
getattr(data, function)(Path(directory), Path(cache), lambda *_: None)
print(*sorted(touched), sep="\\n")
"""


def silent(_step: str, _done: int, _total: int) -> None:
    pass


def prepare(directory: Path) -> data.TestSplit:
    return prepare_test_split(directory, directory.parent / "cache", silent)


def problems_of(directory: Path) -> tuple[str, ...]:
    with pytest.raises(DatasetError) as caught:
        prepare(directory)
    return caught.value.problems


def finished(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.is_dir())


def pictures(height: int = 48, width: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A random picture and depths without a hole."""
    rgb = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return rgb, RNG.integers(400, 50_000, (height, width), dtype=np.uint16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four training, two validation and three test pairs of a real scene."""
    return write_real_pairs(tmp_path / "motorcycle", test=3)


def touched_by(function: str, folder: Path, cache: Path) -> list[str]:
    command = [sys.executable, "-c", WATCH, function, str(folder), str(cache)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_a_search_opens_and_lists_nothing_of_the_test_split(folder: Path, tmp_path: Path) -> None:
    def files(*splits: str) -> list[str]:
        below = [path for split in splits for path in (folder / split).rglob("*")]
        return sorted(str(path.relative_to(folder)) for path in below)

    assert touched_by("prepare_dataset", folder, tmp_path / "cache") == files("train", "validation")
    # The same watch sees the test files where they are read; the others are prepared, and only listed.
    listed = [f"{split}/{kind}" for split in ("train", "validation") for kind in ("depth", "rgb")]
    assert touched_by("prepare_test_split", folder, tmp_path / "cache") == sorted(listed + files("test"))


def test_a_searchs_data_are_the_same_whatever_is_in_the_test_split(folder: Path, tmp_path: Path) -> None:
    def identity() -> tuple[str, str, Path]:
        dataset = prepare_dataset(folder, tmp_path / "cache", silent)
        return dataset.name, dataset.fingerprint, dataset.path

    with_test = identity()
    (folder / "test/rgb/broken.png").write_bytes(b"nonsense")
    (folder / "test/depth").rename(folder / "test/elsewhere")
    with_garbage = identity()
    shutil.rmtree(folder / "test")
    without = identity()
    (folder / "test").symlink_to("nowhere")
    assert with_test == with_garbage == without == identity()
    assert finished(tmp_path / "cache") == [with_test[2]]


def test_the_test_split_arrives_as_the_validation_split_would(folder: Path) -> None:
    held_out = prepare(folder)
    assert (held_out.name, held_out.is_demo) == ("motorcycle-test", False)
    assert held_out.names == tuple(sorted(file.stem for file in (folder / "test/rgb").iterdir()))
    assert len(held_out) == held_out.frames == 3

    other = folder.parent / "other"
    shutil.copytree(folder / "train", other / "train")
    shutil.copytree(folder / "test", other / "validation")
    twin = prepare_dataset(other, folder.parent / "cache", silent).validation
    assert held_out.names == twin.names
    np.testing.assert_array_equal(held_out.rgb, twin.rgb)
    np.testing.assert_array_equal(held_out.depth_mm, twin.depth_mm)

    rgb, depth_mm = motorcycle()
    y, x = (int(part) for part in held_out.names[0].split("-")[1:])
    np.testing.assert_array_equal(
        held_out.depth_mm[0], depth_mm[y : y + 240, x : x + 320].repeat(2, axis=0).repeat(2, axis=1)
    )
    shrunk = cv2.resize(held_out.rgb[0], (320, 240), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(shrunk - rgb[y : y + 240, x : x + 320]).mean() < 5


def test_test_arrays_are_read_only_maps(folder: Path) -> None:
    held_out = prepare(folder)
    assert isinstance(held_out.rgb, np.memmap)
    assert isinstance(held_out.depth_mm, np.memmap)
    assert (held_out.rgb.shape, held_out.rgb.dtype) == ((3, 480, 640, 3), np.uint8)
    assert (held_out.depth_mm.shape, held_out.depth_mm.dtype) == ((3, 480, 640), np.uint16)
    with pytest.raises(ValueError, match="read-only"):
        held_out.depth_mm[0, 0, 0] = 1


def test_the_test_fingerprint_hashes_the_names_and_pixels_of_the_test_split_alone(folder: Path) -> None:
    held_out = prepare(folder)
    digest = hashlib.sha256(json.dumps(["test", held_out.names]).encode())
    digest.update((held_out.path / "test_rgb.npy").read_bytes())
    digest.update((held_out.path / "test_depth_mm.npy").read_bytes())
    assert held_out.fingerprint == digest.hexdigest()[:16]


def test_the_second_time_no_pixel_is_read(folder: Path, tmp_path: Path) -> None:
    prepare_dataset(folder, tmp_path / "cache", silent)
    steps: list[tuple[str, int, int]] = []
    first = prepare_test_split(folder, tmp_path / "cache", lambda *step: steps.append(step))
    assert steps == [
        *(("comparing with train", n, 4) for n in range(1, 5)),
        *(("comparing with validation", n, 2) for n in (1, 2)),
        *(("reading test", n, 3) for n in (1, 2, 3)),
    ]
    steps.clear()
    again = prepare_test_split(folder, tmp_path / "cache", lambda *step: steps.append(step))
    assert steps == []
    assert (again.fingerprint, again.path) == (first.fingerprint, first.path)


def test_a_changed_test_file_is_noticed(folder: Path) -> None:
    first = prepare(folder)
    name = first.names[0]
    write_pair(folder / "test", name, *pictures(240, 320))
    os.utime(folder / f"test/rgb/{name}.png", ns=(1, 1))
    changed = prepare(folder)
    assert changed.path != first.path
    assert changed.fingerprint != first.fingerprint
    assert (changed.rgb[0] != first.rgb[0]).any()


def test_an_interrupt_leaves_no_test_split_and_the_next_attempt_succeeds(
    folder: Path, tmp_path: Path
) -> None:
    def interrupt(step: str, done: int, _total: int) -> None:
        if (step, done) == ("reading test", 2):
            raise KeyboardInterrupt

    searched = prepare_dataset(folder, tmp_path / "cache", silent)
    with pytest.raises(KeyboardInterrupt):
        prepare_test_split(folder, tmp_path / "cache", interrupt)
    assert finished(tmp_path / "cache") == [searched.path]
    held_out = prepare(folder)
    assert finished(tmp_path / "cache") == sorted([searched.path, held_out.path])


def test_a_missing_test_folder_is_an_error_that_says_what_belongs_there(folder: Path) -> None:
    shutil.rmtree(folder / "test")
    assert problems_of(folder) == (
        "test: no such folder; judging on held-out pairs needs test/rgb and test/depth "
        "(allowed: NAME.png, NAME.jpg or NAME.jpeg in rgb, NAME.png in depth)",
    )
    assert problems_of(folder / "nowhere") == (
        f"{folder / 'nowhere'}: no such file or folder; allowed: {SOURCES}",
    )
    assert not (folder.parent / "cache").exists()


def test_a_test_folder_without_its_halves_or_pairs_is_an_error(folder: Path) -> None:
    shutil.rmtree(folder / "test")
    (folder / "test/rgb").mkdir(parents=True)
    assert problems_of(folder) == ("test/depth: cannot list the folder (No such file or directory)",)
    (folder / "test/depth").mkdir()
    assert problems_of(folder) == ("test: no images",)
    shutil.rmtree(folder / "test")
    (folder / "test").write_text("a file")
    assert problems_of(folder) == (
        "test/rgb: cannot list the folder (Not a directory)",
        "test/depth: cannot list the folder (Not a directory)",
    )


def test_every_kind_of_problem_of_the_test_split_is_reported_at_once(folder: Path) -> None:
    test = folder / "test"
    shutil.rmtree(test)
    rgb, depth_mm = pictures()
    for name in "abcdefg":
        write_pair(test, name, *pictures())
    (test / "depth/a.png").unlink()
    (test / "rgb/b.png").unlink()
    (test / "rgb/c.png").write_bytes((test / "rgb/c.png").read_bytes()[:-20])
    cv2.imwrite(str(test / "depth/d.png"), rgb[..., 0])
    cv2.imwrite(str(test / "depth/e.png"), np.zeros_like(depth_mm))
    cv2.imwrite(str(test / "depth/f.png"), depth_mm[:, :40])
    seen = sorted(path.name for path in (folder / "train/rgb").iterdir())
    shutil.copy(folder / "train/rgb" / seen[2], test / "rgb/g.png")
    (test / "depth/notes.txt").write_text("hello")
    assert set(problems_of(folder)) == {
        "test/rgb/a.png: no depth of this name",
        "test/depth/b.png: no rgb of this name",
        "test/rgb/c.png: truncated PNG",
        "test/depth/d.png: found 8-bit grey, expected 16-bit single-channel PNG",
        "test/depth/e.png: all depth is unknown (0)",
        "test/depth/f.png: 40x48, but its picture is 64x48: not the same aspect ratio",
        f"test/rgb/g.png: the same picture as train/rgb/{seen[2]}; {ALLOWED}",
        "test/depth/notes.txt: not an image file of depth (allowed: .png)",
    }
    assert len(finished(folder.parent / "cache")) == 1  # what the search reads is sound


def test_problems_of_what_the_search_reads_are_reported_for_it_first(folder: Path) -> None:
    (folder / "train/rgb/x.png").write_bytes(b"nonsense")
    assert problems_of(folder) == ("train/rgb/x.png: no depth of this name",)


@pytest.mark.parametrize("size", [(48, 64), (240, 320), (480, 640), (500, 900)])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_picture_that_the_search_has_seen_is_refused_and_both_files_named(
    folder: Path, split: str, size: tuple[int, int]
) -> None:
    rgb, depth_mm = pictures(*size)
    write_pair(folder / split, "seen", rgb, depth_mm)
    write_pair(folder / "test", "copied", rgb, depth_mm[::-1])  # another depth is still the same picture
    expected = f"test/rgb/copied.png: the same picture as {split}/rgb/seen.png; {ALLOWED}"
    assert problems_of(folder) == (expected,)

    write_pair(folder / "test", "copied", 255 - rgb, depth_mm)
    assert "copied" in prepare(folder).names


@pytest.mark.parametrize(("split", "size"), [("train", (240, 320)), ("validation", (480, 640))])
def test_one_different_pixel_makes_another_picture(folder: Path, split: str, size: tuple[int, int]) -> None:
    rgb, depth_mm = pictures(*size)
    write_pair(folder / split, "seen", rgb, depth_mm)
    rgb[5, 5, 1] ^= 1
    write_pair(folder / "test", "alike", rgb, depth_mm)
    assert "alike" in prepare(folder).names


def test_a_copy_under_another_type_of_file_is_refused(folder: Path) -> None:
    rgb, depth_mm = pictures()
    jpeg = cv2.imencode(".jpg", rgb)[1]
    write_pair(folder / "test", "copied", cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1], depth_mm)
    write_pair(folder / "validation", "seen", rgb, depth_mm)
    (folder / "validation/rgb/seen.png").unlink()
    (folder / "validation/rgb/seen.jpg").write_bytes(jpeg.tobytes())
    expected = f"test/rgb/copied.png: the same picture as validation/rgb/seen.jpg; {ALLOWED}"
    assert problems_of(folder) == (expected,)


def test_a_picture_that_comes_into_the_training_split_later_is_refused_then(folder: Path) -> None:
    held_out = prepare(folder)
    name = held_out.names[1]
    for kind in ("rgb", "depth"):
        shutil.copy(folder / "test" / kind / f"{name}.png", folder / "train" / kind / "late.png")
    assert problems_of(folder) == (f"test/rgb/{name}.png: the same picture as train/rgb/late.png; {ALLOWED}",)


def test_neither_kind_of_prepared_data_passes_for_the_other(folder: Path, tmp_path: Path) -> None:
    searched = prepare_dataset(folder, tmp_path / "cache", silent)
    held_out = prepare(folder)
    with pytest.raises(
        DatasetError, match=r"not a prepared data set \(it holds test; allowed: train, validation\)"
    ):
        load_dataset(held_out.path)
    with pytest.raises(
        DatasetError, match=r"not a prepared test split \(it holds train, validation; allowed: test\)"
    ):
        load_test_split(searched.path)
    with pytest.raises(DatasetError, match="not a prepared test split"):
        load_test_split(tmp_path)
    opened = load_test_split(held_out.path)
    assert (opened.name, opened.fingerprint, opened.names) == (
        held_out.name,
        held_out.fingerprint,
        held_out.names,
    )
    np.testing.assert_array_equal(opened.rgb, held_out.rgb)
