"""From a source, or from nothing, to a prepared data set or a prepared held-out split."""

import json
import os
from functools import partial
from pathlib import Path

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
from sweep.data.reading import build
from sweep.data.source import Listing, Source
from sweep.data.sources import open_source

DEFAULT_DEMO_SIZE = DemoSize()

Data = str | Path | Source | None
"""A source, where one is found (see `sweep.data.open_source`), or None for the demo data."""


def prepare_dataset(
    data: Data, cache: Path, progress: Progress, *, demo_size: DemoSize = DEFAULT_DEMO_SIZE
) -> Dataset:
    """A source's pairs, or the demo data, as memory-mapped arrays for a search.

    Prepared once and kept under ``cache``; prepared again when the source's state changes. Several processes
    may ask at once: one works, the others wait for it. The held-out split is not looked at.

    Args:
        data: has the splits ``train`` and ``validation``.
        cache: the folder of all prepared data sets.
        progress: called in this thread with a step's name, how much of it is done, and how much there is.
        demo_size: how many demo pairs; another size than the default is in the data's name.

    Raises:
        DatasetError: naming everything that is wrong with the data.
    """
    if data is None:
        counts = {"train": demo_size.train, "validation": demo_size.validation}
        return load_dataset(_render_once(cache, demo_name(demo_size), counts, progress))
    source, place = _opened(data)
    return _prepare_listing(source, place, source.scan(SEARCH_SPLITS), cache, progress)


def prepare_test_split(
    data: Data, cache: Path, progress: Progress, *, demo_frames: int = DEMO_TEST_FRAMES
) -> TestSplit:
    """The held-out split of a source, or of the demo data, as memory-mapped arrays.

    Prepared once and kept under ``cache``, apart from what a search reads, as `prepare_dataset` does. The
    source's ``train`` and ``validation`` are prepared too if they are not yet, because a picture that is in one
    of them is refused here: the test would measure what the network remembers. The comparison is of prepared
    pixels; see `sweep.data.held_out.refuse_seen`. Demo splits come from different seeds.

    Args:
        data: has the splits ``train``, ``validation`` and ``test``.
        cache: the folder of all prepared data sets.
        progress: called in this thread with a step's name, how much of it is done, and how much there is.
        demo_frames: how many demo pairs; another number than the default is in the split's name.

    Raises:
        DatasetError: naming everything that is wrong with the data, first of all a missing test split.
        ValueError: ``demo_frames`` is below 1.
    """
    if data is None:
        name = demo_test_name(demo_frames)
        return load_test_split(_render_once(cache, name, {"test": demo_frames}, progress))
    source, place = _opened(data)
    held_out = source.scan(HELD_OUT_SPLITS)
    if not held_out.frames:
        raise DatasetError(place, tuple(held_out.problems) or ("test: no such split in these data",))
    search = source.scan(SEARCH_SPLITS)
    dataset = _prepare_listing(source, place, search, cache, progress)
    name = f"{dataset.name}-test"

    def fill(draft: Path) -> None:
        seen = seen_pictures(search, dataset, _workers(), progress)
        check = partial(refuse_seen, seen=seen)
        build(place, held_out, HELD_OUT_SPLITS, name, draft, _workers(), progress, check)

    key = key_of([f"test {source.kind}", name, _state(place, held_out), dataset.fingerprint])
    return load_test_split(build_once(cache, key, progress, fill))


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


def _opened(data: str | Path | Source) -> tuple[Source, str]:
    """The source, and what messages call it."""
    if isinstance(data, str | Path):
        return open_source(data), str(data)
    return data, data.name


def _prepare_listing(
    source: Source, place: str, listing: Listing, cache: Path, progress: Progress
) -> Dataset:
    def fill(draft: Path) -> None:
        build(place, listing, SEARCH_SPLITS, source.name, draft, _workers(), progress)

    key = key_of([source.kind, source.name, _state(place, listing)])
    return load_dataset(build_once(cache, key, progress, fill))


def _state(place: str, listing: Listing) -> object:
    """The listing's state, which must be plain data.

    Raises:
        DatasetError: it is not.
    """
    try:
        json.dumps(listing.state)
    except (TypeError, ValueError) as error:
        found = f"{place}: found a listing with the state {listing.state!r} ({error})"
        raise DatasetError(place, (f"{found}; allowed: plain data, as JSON has it",)) from error
    return listing.state


def _render_once(cache: Path, name: str, counts: dict[str, int], progress: Progress) -> Path:
    """The cache's directory of demo data called ``name``, rendered if it is not there yet."""

    def fill(draft: Path) -> None:
        # Imported here, because a process that opens finished data has no need of the compiler.
        from sweep.data.demo.build import build_demo

        build_demo(draft, name, counts, _workers(), progress)

    return build_once(cache, key_of([name]), progress, fill)


def _workers() -> int:
    return len(os.sched_getaffinity(0))
