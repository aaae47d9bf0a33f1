"""Which source an address means: a folder, a file that a reader is known for, or an import path."""

from pathlib import Path
from typing import Final

from sweep.data.dataset import DatasetError
from sweep.data.folder import Folder
from sweep.data.source import Source
from sweep.importing import imported, is_import_path

ALLOWED: Final = (
    "a folder with train/ and validation/, NYU Depth v2's labelled .mat file, or package.module:Class of a "
    "source of one's own"
)


def is_own_source(address: str) -> bool:
    """Whether ``address`` is an import path; a file or folder that is called like one comes first."""
    return is_import_path(address) and not Path(address).exists()


def open_source(address: str | Path) -> Source:
    """The source that ``address`` means.

    Args:
        address: a folder in the challenge's layout, NYU Depth v2's labelled .mat file, or an import path
            ``package.module:Name`` of a class or function that returns a `Source` when called without arguments.

    Raises:
        DatasetError: there is no such folder or file, no reader for it, or the import path names no source.
    """
    if is_own_source(str(address)):
        return _own(str(address))
    path = Path(address)
    if path.is_dir():
        return Folder(path)
    if path.suffix.lower() == ".mat" and path.is_file():
        from sweep.data.nyu import NyuDepthV2  # HDF5's library: only where it is needed

        return NyuDepthV2(path)
    found = "a file for which there is no reader" if path.exists() else "no such file or folder"
    raise DatasetError(str(path), (f"{path}: {found}; allowed: {ALLOWED}",))


def absolute(address: str) -> str:
    """The address as it is found from every folder; import paths are that already."""
    return address if is_own_source(address) else str(Path(address).resolve())


def _own(path: str) -> Source:
    try:
        factory = imported(path)
    except ValueError as error:
        raise DatasetError(path, (str(error),)) from error
    if not callable(factory):
        raise _unfit(path, f"a {type(factory).__name__}, which cannot be called")
    try:
        source = factory()
    except Exception as error:  # code of somebody else raises what it likes
        raise _unfit(
            path, f"an error when called without arguments ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(source, Source):
        missing = [part for part in ("name", "kind", "scan") if not hasattr(source, part)]
        raise _unfit(path, f"a {type(source).__name__} without {', '.join(missing)}")
    for part in ("name", "kind"):
        text = getattr(source, part)
        if not (isinstance(text, str) and text and text.isprintable()):
            raise _unfit(path, f"the {part} {text!r}")
    return source


def _unfit(path: str, found: str) -> DatasetError:
    allowed = "a class or function that, called without arguments, returns a sweep.data.Source with texts as "
    return DatasetError(path, (f"{path}: found {found}; allowed: {allowed}name and kind",))
