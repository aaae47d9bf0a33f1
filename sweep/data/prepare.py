"""From a folder, or from nothing, to a prepared data set."""

import os
from pathlib import Path

from sweep.data import folder
from sweep.data.cache import SIZES, Progress, build_once, key_of, reserve_split, write_manifest
from sweep.data.dataset import Dataset, DatasetError
from sweep.data.demo import DEMO_VERSION, DemoSize
from sweep.data.parallel import map_indices

DEFAULT_DEMO_SIZE = DemoSize()


def prepare_dataset(
    directory: Path | None, cache: Path, progress: Progress, *, demo_size: DemoSize = DEFAULT_DEMO_SIZE
) -> Dataset:
    """A folder in the challenge's layout, or the demo data, as memory-mapped arrays.

    Prepared once and kept under ``cache``; a folder is prepared again when one of its files changes. Several
    processes may ask at once: one works, the others wait for it.

    Args:
        directory: has ``train/`` and ``validation/``; None for the demo data.
        progress: called in this thread with a step's name, how much of it is done, and how much there is.
        demo_size: how many demo pairs; another size than the default is in the data's name.

    Raises:
        DatasetError: naming everything that is wrong with the folder.
    """
    if directory is None:
        return _prepare_demo(cache, progress, demo_size)
    if not directory.is_dir():
        raise DatasetError(str(directory), (f"{directory}: no such folder",))
    listing = folder.scan(directory)
    key = key_of(["folder", directory.resolve().name, listing.state])

    def build(draft: Path) -> None:
        folder.build(directory, listing, draft, _workers(), progress)

    return build_once(cache, key, progress, build)


def demo_name(size: DemoSize) -> str:
    """The demo data's name; it tells sizes apart, so that their scores never mix."""
    name = f"demo-{DEMO_VERSION}"
    return name if size == DEFAULT_DEMO_SIZE else f"{name}-{size.train}x{size.validation}"


def _prepare_demo(cache: Path, progress: Progress, size: DemoSize) -> Dataset:
    counts = {"train": size.train, "validation": size.validation}

    def build(draft: Path) -> None:
        names = {split: _render_split(draft, split, count, progress) for split, count in counts.items()}
        write_manifest(draft, demo_name(size), names, is_demo=True)

    return build_once(cache, key_of([demo_name(size)]), progress, build)


def _render_split(draft: Path, split: str, count: int, progress: Progress) -> tuple[str, ...]:
    """Fill a split's arrays with demo frames; returns their names."""
    # Imported here, because a process that opens finished data has no need of the compiler.
    from sweep.data.demo.generate import atlas, demo_pair

    if split == "train":
        progress("compiling the renderer", 0, 1)
    textures = atlas()
    demo_pair(split, 0, textures, 24, 32)
    if split == "train":
        progress("compiling the renderer", 1, 1)
    rgb, depth_mm = reserve_split(draft, split, count)

    def render(index: int) -> None:
        rgb[index], depth_mm[index] = demo_pair(split, index, textures, *SIZES[split])

    map_indices(render, count, _workers(), f"rendering {split}", progress)
    return tuple(f"{split}-{index:05d}" for index in range(count))


def _workers() -> int:
    return len(os.sched_getaffinity(0))
