"""Demo data on disk: rendering splits into the arrays of a prepared data set."""

from pathlib import Path

from sweep.data.cache import SIZES, Progress, reserve_split, write_manifest
from sweep.data.demo.generate import Atlas, atlas, demo_pair
from sweep.data.parallel import map_indices


def build_demo(into: Path, name: str, counts: dict[str, int], workers: int, progress: Progress) -> None:
    """Render ``counts`` pairs per split into ``into``, a data set called ``name``."""
    progress("compiling the renderer", 0, 1)
    textures = atlas()
    demo_pair(next(iter(counts)), 0, textures, 24, 32)  # a thumbnail, so that threads find it compiled
    progress("compiling the renderer", 1, 1)
    names = {
        split: _render_split(into, split, count, textures, workers, progress)
        for split, count in counts.items()
    }
    write_manifest(into, name, names, is_demo=True)


def _render_split(
    into: Path, split: str, count: int, textures: Atlas, workers: int, progress: Progress
) -> tuple[str, ...]:
    """Fill a split's arrays with demo frames; returns their names."""
    rgb, depth_mm = reserve_split(into, split, count)

    def render(index: int) -> None:
        rgb[index], depth_mm[index] = demo_pair(split, index, textures, *SIZES[split])

    map_indices(render, count, workers, f"rendering {split}", progress)
    return tuple(f"{split}-{index:05d}" for index in range(count))
