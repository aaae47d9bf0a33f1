"""Finds, reads and checks search-space files."""

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import ValidationError

from sweep.space.bundled import bundled_directory, bundled_file, bundled_folder, bundled_names
from sweep.space.candidate_file import CandidateFile, load_candidate, parse_candidate
from sweep.space.derive import Language
from sweep.space.document import CandidatesDocument, Target, document_model
from sweep.space.folder import Folder, is_space, kept_text, read_folder
from sweep.space.forms import problems
from sweep.space.own_parts import own_parts
from sweep.space.problems import Problem, SpaceError, one_of
from sweep.space.space import Space
from sweep.space.strict_yaml import MAX_BYTES, read_yaml


def load_space(path: str | Path) -> Space:
    """Load a space from a file, a folder of candidate files, or a bundled one of either by name.

    ``search_spaces/mobilenetv3.yaml`` and plain ``mobilenetv3`` mean the file in the working directory when
    there is one, else the bundled space of that name; likewise ``search_spaces/mai2022`` and ``mai2022``.

    Raises:
        SpaceError: there is no such file or folder, it cannot be read, or what it says is wrong.
    """
    file, path = str(path), Path(path)
    if is_folder(path):
        return load_candidates(path)
    return parse_space(_read(path, file), file)


def load_candidates(directory: str | Path, target: Target | None = None) -> Space:
    """The space of all candidate files in a folder, or in a bundled one: each is tried once, as it is.

    Its only parameter is ``candidate``, its rules are those of `sweep.space.folder.kept_text`.

    Args:
        directory: the folder; files in it that are search spaces are passed over.
        target: what latencies are measured on; None: any device.

    Raises:
        SpaceError: there is no such folder, it holds no candidate, or one of its files is wrong.
    """
    name, folder = _folder(Path(directory))
    text = kept_text(folder, name, str(directory), target or Target())
    return replace(parse_space(text, str(directory)), notes=folder.notes)


def load_candidate_files(path: str | Path) -> tuple[CandidateFile, ...]:
    """A candidate file, or all of a folder, in the order of their names; or a bundled one of either by name.

    Raises:
        SpaceError: there is no such file or folder, or a file is wrong.
    """
    if is_folder(Path(path)):
        return tuple(_folder(Path(path))[1].candidates.values())
    return (load_candidate(path),)


def _folder(path: Path) -> tuple[str, Folder]:
    """The name of a folder, or of a bundled one, and what is in it."""
    bundled = None if path.is_dir() else bundled_directory(path)
    place = Path(str(bundled)) if bundled else path
    return place.resolve().name, read_folder(place, str(path))


def is_folder(path: Path) -> bool:
    """Whether ``path`` names a folder, or a bundled one rather than a bundled file."""
    if path.is_dir():
        return True
    return not path.exists() and bundled_file(path) is None and bundled_directory(path) is not None


def parse_space(content: bytes | str, file: str = "space.yaml") -> Space:
    """Check a space's text, or that which is kept of a folder; ``file`` names it in problems.

    Raises:
        SpaceError: with all that is wrong.
    """
    content = content.encode() if isinstance(content, str) else content
    data = read_yaml(content, file)
    if "candidates" in data and "architecture" not in data:
        return _of_candidates(data, content, file)
    own = own_parts(data, file)
    try:
        document = document_model(Language(own)).model_validate(data)
    except ValidationError as error:
        raise SpaceError(problems(error, file)) from None
    return Space.of(document, content.decode("utf-8-sig"), file, own)


def _of_candidates(data: Mapping[str, object], content: bytes, file: str) -> Space:
    try:
        document = CandidatesDocument.model_validate(data)
    except ValidationError as error:
        raise SpaceError(problems(error, file)) from None
    files = {name: parse_candidate(kept.text, kept.file) for name, kept in document.candidates.items()}
    return Space.of_candidates(document, files, content.decode("utf-8-sig"), file)


def bundled_spaces() -> Mapping[str, Traversable]:
    """The spaces that come with the package, by name without ``.yaml``."""
    files = {name: bundled_folder().joinpath(f"{name}.yaml") for name in bundled_names()}
    return {name: file for name, file in files.items() if is_space(file.read_bytes())}


def _read(path: Path, file: str) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return _read_bundled(path, file)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        found = getattr(error, "strerror", None) or str(error)
        raise SpaceError(
            [Problem(file, "", f"a file that cannot be read ({found})", "a YAML file")]
        ) from None


def _read_bundled(path: Path, file: str) -> bytes:
    bundled = bundled_file(path)
    if bundled is not None:
        return bundled.read_bytes()
    allowed = f"a YAML file, or a bundled space: {one_of(bundled_spaces(), path.name.removesuffix('.yaml'))}"
    raise SpaceError([Problem(file, "", "no such file", allowed)])
