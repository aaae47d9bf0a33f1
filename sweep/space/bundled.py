"""The files that come with the package: search spaces, candidates and presets."""

import os
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

FOLDER = "search_spaces"


def bundled_folder() -> Traversable:
    """The folder of all that comes with the package."""
    try:
        return resources.files(f"sweep.{FOLDER}")
    except ModuleNotFoundError:  # a source checkout that is not installed: the folder lies beside the package
        return Path(str(resources.files("sweep"))).parent / FOLDER


def bundled_names() -> tuple[str, ...]:
    """The paths of all YAML files within the folder without their ``.yaml``, sorted: ``mai2022/tcl``."""
    return tuple(sorted(_names(bundled_folder(), PurePosixPath())))


def _names(folder: Traversable, at: PurePosixPath) -> list[str]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _names(entry, at / entry.name)
        elif entry.name.endswith(".yaml"):
            found.append(str(at / entry.name.removesuffix(".yaml")))
    return found


def bundled_file(path: Path) -> Traversable | None:
    """The file that a name means, such as ``mai2022/tcl`` or ``search_spaces/mai2022/tcl.yaml``, if any."""
    name = _name(path)
    return bundled_folder().joinpath(f"{name}.yaml") if name in bundled_names() else None


def bundled_directory(path: Path) -> Traversable | None:
    """The folder that a name means, such as ``mai2022`` or ``search_spaces/mai2022``, if any."""
    name = _name(path)
    folders = {str(parent) for file in bundled_names() for parent in PurePosixPath(file).parents}
    return bundled_folder().joinpath(name) if name in folders - {"."} else None


def _name(path: Path) -> str:
    parts = Path(os.path.normpath(path)).parts
    parts = parts[1:] if parts[:1] == (FOLDER,) else parts
    return "/".join(parts).removesuffix(".yaml")
