"""Reading the challenge's layout."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from real_pairs import motorcycle, write_pair

from sweep.data import JUDGE_SIZE, TRAIN_SIZE, Dataset, DatasetError, prepare_dataset
from sweep.data.images import crop_to_aspect, fit_depth

RNG = np.random.default_rng(1)
RGB = RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8)
DEPTH = RNG.integers(400, 50_000, (48, 64), dtype=np.uint16)


def prepare(directory: Path) -> Dataset:
    return prepare_dataset(directory, directory.parent / "cache", lambda *_: None)


def problems_of(directory: Path) -> tuple[str, ...]:
    with pytest.raises(DatasetError) as caught:
        prepare(directory)
    return caught.value.problems


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound folder with one training and one validation pair."""
    directory = tmp_path / "pairs"
    write_pair(directory / "train", "a", RGB, DEPTH)
    write_pair(directory / "validation", "b", RGB, DEPTH)
    return directory


def nearest(image: NDArray[np.uint16], size: tuple[int, int]) -> NDArray[np.uint16]:
    """Pixel by pixel: the source pixel in which the target pixel's centre lies."""
    result = np.zeros(size, np.uint16)
    for row in range(size[0]):
        for column in range(size[1]):
            y = int((row + 0.5) * image.shape[0] / size[0])
            x = int((column + 0.5) * image.shape[1] / size[1])
            result[row, column] = image[y, x]
    return result


def test_a_real_scene_arrives_pixel_for_pixel(real_pairs: Path) -> None:
    dataset = prepare(real_pairs)
    rgb, depth_mm = motorcycle()
    assert (dataset.name, dataset.is_demo) == ("motorcycle", False)
    assert (len(dataset.train), len(dataset.validation)) == (4, 2)
    assert dataset.train.names == tuple(sorted(dataset.train.names))
    for index, name in enumerate(dataset.train.names):
        y, x = (int(part) for part in name.split("-")[1:])
        np.testing.assert_array_equal(dataset.train.rgb[index], rgb[y : y + 240, x : x + 320])
        np.testing.assert_array_equal(dataset.train.depth_mm[index], depth_mm[y : y + 240, x : x + 320])
    assert dataset.validation.rgb.shape == (2, 480, 640, 3)
    assert 2_000 < np.median(depth_mm[depth_mm > 0]) < 4_000  # the motorcycle stands 2 to 4 m away


def test_arrays_are_read_only_maps_of_the_stated_types(folder: Path) -> None:
    dataset = prepare(folder)
    for split, size in ((dataset.train, TRAIN_SIZE), (dataset.validation, JUDGE_SIZE)):
        assert isinstance(split.rgb, np.memmap)
        assert isinstance(split.depth_mm, np.memmap)
        assert (split.rgb.shape, split.rgb.dtype) == ((1, *size, 3), np.uint8)
        assert (split.depth_mm.shape, split.depth_mm.dtype) == ((1, *size), np.uint16)
        with pytest.raises(ValueError, match="read-only"):
            split.rgb[0, 0, 0, 0] = 1


def test_every_kind_of_problem_is_reported_at_once_by_name(tmp_path: Path) -> None:
    directory = tmp_path / "broken"
    train = directory / "train"
    for name in "abcdefghijklmn":
        write_pair(train, name, RGB, DEPTH)
    (train / "depth/a.png").unlink()
    (train / "rgb/b.png").unlink()
    png = (train / "rgb/c.png").read_bytes()
    (train / "rgb/c.png").write_bytes(png[: len(png) // 2])
    jpeg = cv2.imencode(".jpg", RGB)[1].tobytes()
    (train / "rgb/d.png").unlink()
    (train / "rgb/d.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    cv2.imwrite(str(train / "rgb/e.png"), RGB[..., 0])
    cv2.imwrite(str(train / "rgb/f.png"), np.dstack((RGB, RGB[..., 0])))
    cv2.imwrite(str(train / "rgb/g.png"), RGB.astype(np.uint16) * 257)
    cv2.imwrite(str(train / "depth/h.png"), RGB[..., 0])
    cv2.imwrite(str(train / "depth/i.png"), np.zeros_like(DEPTH))
    cv2.imwrite(str(train / "depth/j.png"), DEPTH[:, :40])
    damaged = bytearray((train / "depth/k.png").read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    (train / "depth/k.png").write_bytes(damaged)
    (train / "depth/l.png").write_bytes(b"")
    (train / "rgb/m.png").write_text("not a picture")
    (train / "depth/notes.txt").write_text("hello")
    (train / "rgb/.hidden").write_text("passed over")
    (train / "rgb/n.jpeg").write_bytes(jpeg)
    (directory / "validation/rgb").mkdir(parents=True)
    assert set(problems_of(directory)) == {
        "train/rgb/a.png: no depth of this name",
        "train/depth/b.png: no rgb of this name",
        "train/rgb/c.png: truncated PNG",
        "train/rgb/d.jpg: truncated JPEG",
        "train/rgb/e.png: found 8-bit grey, expected 8-bit RGB",
        "train/rgb/f.png: found 8-bit RGBA, expected 8-bit RGB",
        "train/rgb/g.png: found 16-bit RGB, expected 8-bit RGB",
        "train/depth/h.png: found 8-bit grey, expected 16-bit single-channel PNG",
        "train/depth/i.png: all depth is unknown (0)",
        "train/depth/j.png: 40x48, but its picture is 64x48: not the same aspect ratio",
        "train/depth/k.png: damaged PNG (checksum of its IDAT chunk)",
        "train/depth/l.png: empty file",
        "train/rgb/m.png: neither PNG nor JPEG",
        "train/depth/notes.txt: not an image file of depth (allowed: .png)",
        "train/rgb/n: 2 files of one name (n.jpeg, n.png)",
        "validation/depth: cannot list the folder (No such file or directory)",
    }
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"] == []


def test_an_empty_split_and_a_missing_directory_are_problems(folder: Path) -> None:
    for kind in ("rgb", "depth"):
        (folder / "validation" / kind / "b.png").unlink()
    assert problems_of(folder) == ("validation: no images",)
    (problem,) = problems_of(folder / "nowhere")
    assert problem.startswith(f"{folder / 'nowhere'}: no such file or folder; allowed: a folder with train/")


def test_a_long_list_of_problems_is_cut_in_the_message_only() -> None:
    error = DatasetError("data", tuple(f"file{n}: bad" for n in range(100)))
    lines = str(error).splitlines()
    assert lines[0] == "data: 100 problems"
    assert lines[1] == "  file0: bad"
    assert lines[-1] == "  ... and 70 more"
    assert len(error.problems) == 100


def test_colours_keep_their_order_in_png_and_jpeg(folder: Path) -> None:
    flat = np.zeros((240, 320, 3), np.uint8)
    flat[:] = (200, 100, 30)
    for suffix in ("jpg", "jpeg", "JPG"):
        Image.fromarray(flat).save(folder / f"train/rgb/flat-{suffix}.{suffix}", quality=98)
        cv2.imwrite(str(folder / f"train/depth/flat-{suffix}.png"), np.full((240, 320), 1000, np.uint16))
    Image.fromarray(flat).save(folder / "train/rgb/a.png")
    for picture in prepare(folder).train.rgb:
        assert np.abs(picture.astype(int) - (200, 100, 30)).max() <= 3


def test_pictures_are_read_as_stored_whatever_exif_says_of_their_orientation(folder: Path) -> None:
    stored = np.zeros((240, 320, 3), np.uint8)
    stored[:120] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # rotated by 180 degrees
    buffer = io.BytesIO()
    Image.fromarray(stored).save(buffer, "JPEG", quality=98, exif=exif)
    (folder / "train/rgb/a.png").unlink()
    (folder / "train/rgb/a.jpg").write_bytes(buffer.getvalue())
    picture = prepare(folder).train.rgb[0]
    assert picture[:110].min() > 240
    assert picture[130:].max() < 15


@pytest.mark.parametrize("size", [(480, 640), (97, 131), (720, 1280), (1280, 720), (1, 1), (300, 301)])
def test_any_resolution_is_cropped_to_4_by_3_and_sampled_at_pixel_centres(
    folder: Path, size: tuple[int, int]
) -> None:
    depth_mm = RNG.integers(400, 50_000, size, dtype=np.uint16)
    write_pair(folder / "train", "a", RNG.integers(0, 256, (*size, 3), dtype=np.uint8), depth_mm)
    height, width = size
    if width / height > 4 / 3:
        keep = round(height * 4 / 3)
        depth_mm = depth_mm[:, (width - keep) // 2 :][:, :keep]
    else:
        keep = max(round(width * 3 / 4), 1)
        depth_mm = depth_mm[(height - keep) // 2 :][:keep]
    np.testing.assert_array_equal(prepare(folder).train.depth_mm[0], nearest(depth_mm, TRAIN_SIZE))


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 12), st.integers(1, 12))
def test_nearest_sampling_only_takes_pixels_that_exist(
    height: int, width: int, rows: int, columns: int
) -> None:
    image = np.arange(height * width, dtype=np.uint16).reshape(height, width)
    np.testing.assert_array_equal(
        fit_depth(image, (rows, columns)), nearest(np.asarray(crop_to_aspect(image)), (rows, columns))
    )


def test_shrinking_pictures_averages_areas(folder: Path) -> None:
    rgb = RNG.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    write_pair(folder / "train", "a", rgb, RNG.integers(400, 9000, (480, 640), dtype=np.uint16))
    mean = rgb.reshape(240, 2, 320, 2, 3).mean(axis=(1, 3))
    assert np.abs(prepare(folder).train.rgb[0] - mean).max() <= 0.5


def test_a_pair_may_have_two_resolutions_of_one_shape(folder: Path) -> None:
    cv2.imwrite(str(folder / "train/depth/a.png"), RNG.integers(400, 9000, (240, 320), dtype=np.uint16))
    assert len(prepare(folder).train) == 1


def test_the_fingerprint_follows_the_pixels_and_the_cache_follows_the_files(folder: Path) -> None:
    first = prepare(folder)
    assert len(bytes.fromhex(first.fingerprint)) == 8
    assert prepare(folder).path == first.path

    picture = folder / "train/rgb/a.png"
    os.utime(picture, ns=(1, 1))
    touched = prepare(folder)
    assert touched.path != first.path
    assert touched.fingerprint == first.fingerprint

    write_pair(folder / "train", "a", 255 - RGB, DEPTH)
    assert prepare(folder).fingerprint != first.fingerprint
