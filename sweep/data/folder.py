"""The challenge's folder layout: ``SPLIT/rgb/NAME.png|jpg|jpeg`` beside ``SPLIT/depth/NAME.png``."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sweep.data import images
from sweep.data.source import Frame, Listing

_SUFFIXES = {"rgb": (".png", ".jpg", ".jpeg"), "depth": (".png",)}
_NO_TEST = (
    "test: no such folder; judging on held-out pairs needs test/rgb and test/depth "
    "(allowed: NAME.png, NAME.jpg or NAME.jpeg in rgb, NAME.png in depth)"
)


class Folder:
    """A folder in the challenge's layout.

    Args:
        directory: has ``train/`` and ``validation/``, and ``test/`` where there are held-out pairs.
    """

    kind: Final = "folder"

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self._directory.resolve().name

    def scan(self, splits: Sequence[str]) -> Listing:
        """List ``splits`` without opening a file; no other split is looked at. Hidden files are passed over.

        The state has each file's path, bytes and modification time in ns.
        """
        directory = self._directory
        if "test" in splits and not (directory / "test").exists():
            return Listing({}, (), (_NO_TEST,))
        frames: dict[str, tuple[Frame, ...]] = {}
        problems: list[str] = []
        state: list[tuple[str, int, int]] = []
        for split in splits:
            found: dict[str, dict[str, Path]] = {}
            for kind in _SUFFIXES:
                folder = directory / split / kind
                try:
                    files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
                    state += [_state(directory, file) for file in files]
                except OSError as error:
                    problems.append(f"{split}/{kind}: cannot list the folder ({error.strerror})")
                    continue
                found[kind], wrong = _images(directory, files, kind)
                problems += wrong
            if len(found) == len(_SUFFIXES):
                frames[split], wrong = _match(directory, split, found)
                problems += wrong
        return Listing(frames, tuple(state), tuple(problems))


def _read_rgb(file: Path) -> NDArray[np.uint8]:
    return images.decode_rgb(file.read_bytes())


def _read_depth(file: Path) -> NDArray[np.uint16]:
    return images.decode_depth(file.read_bytes())


def _state(directory: Path, file: Path) -> tuple[str, int, int]:
    status = file.stat()
    return str(file.relative_to(directory)), status.st_size, status.st_mtime_ns


def _images(directory: Path, files: list[Path], kind: str) -> tuple[dict[str, Path], list[str]]:
    """Files by stem, and complaints about what is not an image of this kind."""
    problems = []
    usable = []
    for file in files:
        if file.suffix.lower() in _SUFFIXES[kind] and file.is_file():
            usable.append(file)
        else:
            allowed = ", ".join(_SUFFIXES[kind])
            problems.append(
                f"{file.relative_to(directory)}: not an image file of {kind} (allowed: {allowed})"
            )
    for stem, count in Counter(file.stem for file in usable).items():
        if count > 1:
            named = ", ".join(file.name for file in usable if file.stem == stem)
            problems.append(
                f"{files[0].parent.relative_to(directory)}/{stem}: {count} files of one name ({named})"
            )
    return {file.stem: file for file in usable}, problems


def _match(
    directory: Path, split: str, found: dict[str, dict[str, Path]]
) -> tuple[tuple[Frame, ...], list[str]]:
    rgb, depth = found["rgb"], found["depth"]
    problems = []
    if not rgb and not depth:
        problems.append(f"{split}: no images")
    problems += [
        f"{rgb[n].relative_to(directory)}: no depth of this name" for n in sorted(rgb.keys() - depth.keys())
    ]
    problems += [
        f"{depth[n].relative_to(directory)}: no rgb of this name" for n in sorted(depth.keys() - rgb.keys())
    ]
    paired = sorted(rgb.keys() & depth.keys())
    return tuple(_frame(directory, name, rgb[name], depth[name]) for name in paired), problems


def _frame(directory: Path, name: str, rgb: Path, depth: Path) -> Frame:
    return Frame(
        name,
        partial(_read_rgb, rgb),
        partial(_read_depth, depth),
        str(rgb.relative_to(directory)),
        str(depth.relative_to(directory)),
    )
