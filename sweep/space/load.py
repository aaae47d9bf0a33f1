"""Finds, reads and checks search-space files."""

from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import ValidationError

from sweep.space.document import document_model
from sweep.space.forms import problems
from sweep.space.problems import Problem, SpaceError, one_of
from sweep.space.space import Space
from sweep.space.strict_yaml import MAX_BYTES, read_yaml

_FOLDER = "search_spaces"


def load_space(path: str | Path) -> Space:
    """Load a space from a file, or a bundled one by name.

    ``search_spaces/mobilenetv3.yaml`` and plain ``mobilenetv3`` mean the file in the working directory when
    there is one, else the bundled space of that name.

    Raises:
        SpaceError: there is no such file, it cannot be read, or what it says is wrong.
    """
    file = str(path)
    return parse_space(_read(Path(path), file), file)


def parse_space(content: bytes | str, file: str = "space.yaml") -> Space:
    """Check a space's text; ``file`` names it in problems.

    Raises:
        SpaceError: with all that is wrong.
    """
    content = content.encode() if isinstance(content, str) else content
    data = read_yaml(content, file)
    try:
        document = document_model().model_validate(data)
    except ValidationError as error:
        raise SpaceError(problems(error, file)) from None
    return Space.of(document, content.decode("utf-8-sig"), file)


def bundled_spaces() -> Mapping[str, Traversable]:
    """The spaces that come with the package, by name without ``.yaml``."""
    try:
        folder: Traversable = resources.files(f"sweep.{_FOLDER}")
    except ModuleNotFoundError:  # a source checkout that is not installed: the folder lies beside the package
        folder = Path(str(resources.files("sweep"))).parent / _FOLDER
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {file.name.removesuffix(".yaml"): file for file in files}


def _read(path: Path, file: str) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return _read_bundled(path, file)
    except IsADirectoryError:
        raise SpaceError([Problem(file, "", "a directory", "a YAML file")]) from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        found = getattr(error, "strerror", None) or str(error)
        raise SpaceError(
            [Problem(file, "", f"a file that cannot be read ({found})", "a YAML file")]
        ) from None


def _read_bundled(path: Path, file: str) -> bytes:
    bundled = bundled_spaces()
    name = path.name.removesuffix(".yaml")
    if path.parent in (Path(), Path(_FOLDER)) and name in bundled:
        return bundled[name].read_bytes()
    allowed = f"a YAML file, or a bundled space: {one_of(bundled, name)}"
    raise SpaceError([Problem(file, "", "no such file", allowed)])
