"""Objects of other packages, named by where they are found: ``package.module:Name``."""

import importlib
import re

ALLOWED = "package.module:Name of something that can be imported"

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class NotImportable(ValueError):
    """A path that leads nowhere; ``found`` says why."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(f"{path}: found {found}; allowed: {ALLOWED}")
        self.found = found


def is_import_path(text: str) -> bool:
    """Whether ``text`` is written like one; that there is such an object is not looked at."""
    return _PATH.fullmatch(text) is not None


def imported(path: str) -> object:
    """What ``path`` names; its module is imported if it is not yet.

    Raises:
        NotImportable: the path is malformed, its module cannot be imported, or has no such name.
    """
    if not is_import_path(path):
        raise NotImportable(path, "no import path")
    module, _, name = path.partition(":")
    try:
        found: object = getattr(importlib.import_module(module), name)
    except Exception as error:  # a module of somebody else raises what it likes
        raise NotImportable(path, f"an error ({type(error).__name__}: {error})") from error
    return found
