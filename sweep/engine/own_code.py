"""Code of one's own, which files name as ``package.module:Class``: where it is, here and in Ray's workers."""

import importlib.util
import site
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from sweep.lifecycle.events import SweepStarted
from sweep.space import Space


def make_importable(folders: Iterable[Path]) -> None:
    """Have Python look for modules in ``folders`` too, after all other places: they cannot hide anything."""
    for folder in folders:
        path = str(folder.resolve())
        if path not in sys.path:
            sys.path.append(path)


def folders_for(space: Path, import_from: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Where a space's own code is looked for: the folders asked for, the space's, and the current one."""
    beside = space if space.is_dir() else space.parent
    return (*import_from, beside, Path())


def find_score_again(started: SweepStarted | None) -> None:
    """Have Python find a sweep's own score where it was when the sweep started.

    Does nothing for sweeps that maximise the Final Score.
    """
    if started is None or "score" not in started.identity:
        return
    settings = started.settings
    packages = settings["compute"].get("own_packages", ())
    make_importable(folders_for(Path(settings["space"]), (Path(package).parent for package in packages)))


def own_packages(space: Space) -> tuple[str, ...]:
    """The packages of the space's own parts that are not installed: absolute paths of folders or single files.

    Whoever imports from their parents' folders finds them.
    """
    named = [part.__module__ for part in space.own]
    if space.document.score is not None:
        named.append(space.document.score.partition(":")[0])
    tops = dict.fromkeys(name.partition(".")[0] for name in named)
    places = (_place(name) for name in tops)
    return tuple(str(place) for place in places if place is not None and not _is_installed(place))


def _place(name: str) -> Path | None:
    """The folder of a top-level package, or the file of a module."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    folders = spec.submodule_search_locations
    found = next(iter(folders)) if folders else spec.origin
    return Path(found).resolve() if found else None


def _is_installed(place: Path) -> bool:
    """Whether every Python of this environment finds it, whatever it is told."""
    known = [*site.getsitepackages(), site.getusersitepackages(), *sysconfig.get_paths().values()]
    return any(place.is_relative_to(Path(folder).resolve()) for folder in known)
