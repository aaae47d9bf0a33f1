"""Hardware-in-the-loop sweeps for mobile depth estimation; see the README for the commands.

From Python: ``sweep.run`` searches, ``sweep.load`` opens what was found.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweep.api import SweepResult, load, run

__all__ = ["SweepResult", "load", "run"]


def __getattr__(name: str) -> object:
    """The Python interface, loaded when somebody asks for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sweep import api

    found: object = getattr(api, name)
    return found
