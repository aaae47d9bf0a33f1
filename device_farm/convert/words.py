"""Words of a closed set, as the wire has them."""

from typing import TypeVar

W = TypeVar("W", bound=str)


def one_of(allowed: tuple[W, ...], found: str, what: str) -> W:
    """``found`` as one of the words that are allowed; raises ValueError naming them."""
    for word in allowed:
        if found == word:
            return word
    raise ValueError(f"{what} must be one of {', '.join(allowed)}, got {found!r}")
