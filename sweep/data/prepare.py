"""From a folder, or from nothing, to a prepared data set or a prepared held-out split."""

import os
from functools import partial
from pathlib import Path

from sweep.data import folder
from sweep.data.cache import (
    HELD_OUT_SPLITS,
    SEARCH_SPLITS,
    Progress,
    build_once,
    key_of,
    load_dataset,
    load_test_split,
)
from sweep.data.dataset import Dataset, DatasetError, TestSplit
from sweep.data.demo import DEMO_TEST_FRAMES, DEMO_VERSION, DemoSize
from sweep.data.held_out import refuse_seen, seen_pictures

DEFAULT_DEMO_SIZE = DemoSize()


def prepare_dataset(
    directory: Path | None, cache: Path, progress: Progress, *, demo_size: DemoSize = DEFAULT_DEMO_SIZE
) -> Dataset:
    """A folder in the challenge's layout, or the demo data, as memory-mapped arrays for a search.

    Prepared once and kept under ``cache``; a folder is prepared again when one of its files changes. Several
    processes may ask at once: one works, the others wait for it. The held-out split is not looked at.

    Args:
        directory: has ``train/`` and ``validation/``; None for the demo data.
        progress: called in this thread with a step's name, how much of it is done, and how much there is.
        demo_size: how many demo pairs; another size than the default is in the data's name.

    Raises:
        DatasetError: naming everything that is wrong with the folder.
    """
    if directory is None:
        counts = {"train": demo_size.train, "validation": demo_size.validation}
        return load_dataset(_render_once(cache, demo_name(demo_size), counts, progress))
    _check_directory(directory)
    return _prepare_listing(directory, folder.scan(directory, SEARCH_SPLITS), cache, progress)


def prepare_test_split(
    directory: Path | None, cache: Path, progress: Progress, *, demo_frames: int = DEMO_TEST_FRAMES
) -> TestSplit:
    """The held-out split of a folder, or of the demo data, as memory-mapped arrays.

    Prepared once and kept under ``cache``, apart from what a search reads, as `prepare_dataset` does. A
    folder's ``train/`` and ``validation/`` are prepared too if they are not yet, because a picture that is in
    one of them is refused here: the test would measure what the network remembers. The comparison is of
    prepared pixels; see `sweep.data.held_out.refuse_seen`. Demo splits come from different seeds.

    Args:
        directory: has ``train/``, ``validation/`` and ``test/``; None for the demo data.
        progress: called in this thread with a step's name, how much of it is done, and how much there is.
        demo_frames: how many demo pairs; another number than the default is in the split's name.

    Raises:
        DatasetError: naming everything that is wrong with the folder, first of all a missing ``test/``.
        ValueError: ``demo_frames`` is below 1.
    """
    if directory is None:
        name = demo_test_name(demo_frames)
        return load_test_split(_render_once(cache, name, {"test": demo_frames}, progress))
    _check_directory(directory)
    if not (directory / "test").exists():
        raise DatasetError(
            str(directory),
            (
                "test: no such folder; judging on held-out pairs needs test/rgb and test/depth "
                "(allowed: NAME.png, NAME.jpg or NAME.jpeg in rgb, NAME.png in depth)",
            ),
        )
    held_out = folder.scan(directory, HELD_OUT_SPLITS)
    search = folder.scan(directory, SEARCH_SPLITS)
    dataset = _prepare_listing(directory, search, cache, progress)
    name = f"{dataset.name}-test"

    def build(draft: Path) -> None:
        seen = seen_pictures(directory, search.pairs, dataset, _workers(), progress)
        check = partial(refuse_seen, seen=seen)
        folder.build(directory, held_out, name, draft, _workers(), progress, check)

    key = key_of(["test folder", name, held_out.state, dataset.fingerprint])
    return load_test_split(build_once(cache, key, progress, build))


def demo_name(size: DemoSize) -> str:
    """The demo data's name; it tells sizes apart, so that their scores never mix."""
    name = f"demo-{DEMO_VERSION}"
    return name if size == DEFAULT_DEMO_SIZE else f"{name}-{size.train}x{size.validation}"


def demo_test_name(frames: int) -> str:
    """The name of the demo data's held-out split; it tells sizes apart.

    Raises:
        ValueError: ``frames`` is below 1.
    """
    if frames < 1:
        raise ValueError(f"a held-out demo split needs at least one pair, found {frames}")
    name = f"demo-{DEMO_VERSION}-test"
    return name if frames == DEMO_TEST_FRAMES else f"{name}-{frames}"


def _check_directory(directory: Path) -> None:
    if not directory.is_dir():
        raise DatasetError(str(directory), (f"{directory}: no such folder",))


def _prepare_listing(directory: Path, listing: folder.Listing, cache: Path, progress: Progress) -> Dataset:
    name = directory.resolve().name

    def build(draft: Path) -> None:
        folder.build(directory, listing, name, draft, _workers(), progress)

    return load_dataset(build_once(cache, key_of(["folder", name, listing.state]), progress, build))


def _render_once(cache: Path, name: str, counts: dict[str, int], progress: Progress) -> Path:
    """The cache's directory of demo data called ``name``, rendered if it is not there yet."""

    def build(draft: Path) -> None:
        # Imported here, because a process that opens finished data has no need of the compiler.
        from sweep.data.demo.build import build_demo

        build_demo(draft, name, counts, _workers(), progress)

    return build_once(cache, key_of([name]), progress, build)


def _workers() -> int:
    return len(os.sched_getaffinity(0))
