"""Reading MATLAB files: v7.3, which is HDF5, piece by piece; small variables of older ones too.

MATLAB writes HDF5 with the dimensions in reverse. A cell array is a data set of references to others, one for each
cell; a text is an array of UTF-16 codes.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

_HDF5 = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512  # MATLAB writes a header of its own before the HDF5 file


class MatlabError(Exception):
    """A file that is not of the form that a reader expects; says the variable, what was found and is allowed."""

    def __init__(self, file: Path, variable: str, found: str, allowed: str) -> None:
        place = f"{file}: {variable}" if variable else str(file)
        super().__init__(f"{place}: found {found}; allowed: {allowed}")
        self.found = found


class MatlabFile:
    """An open v7.3 file.

    Raises:
        MatlabError: it is no such file.
    """

    def __init__(self, file: Path) -> None:
        self._path = file
        if not is_hdf5(file):
            raise MatlabError(file, "", "no HDF5 file", "MATLAB's format v7.3, which is HDF5")
        try:
            self._file: Any = h5py.File(file, "r")
        except OSError as error:
            raise MatlabError(
                file, "", f"a damaged file ({error})", "MATLAB's format v7.3, which is HDF5"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def shape(
        self, variable: str, allowed: str, fits: Callable[[tuple[int, ...], str], bool]
    ) -> tuple[int, ...]:
        """The variable's dimensions, in HDF5's order.

        Args:
            variable: its name.
            allowed: what ``fits`` accepts, in words.
            fits: whether dimensions and kind (``u1`` for uint8, ``f`` for floats, else NumPy's code) are right.

        Raises:
            MatlabError: there is no such variable, or it does not fit.
        """
        found = self._variable(variable, allowed)
        kind = "f" if found.dtype.kind == "f" else found.dtype.str[1:]
        if not fits(found.shape, kind):
            raise MatlabError(self._path, variable, f"{found.shape} of {found.dtype}", allowed)
        return tuple(int(length) for length in found.shape)

    def values(self, variable: str, index: int) -> NDArray[Any]:
        """The part of the variable at ``index`` of its first dimension here, the last one in MATLAB.

        Raises:
            MatlabError: it cannot be read.
        """
        try:
            return np.asarray(self._variable(variable, "values")[index])
        except (OSError, ValueError, IndexError) as error:
            found = f"values that cannot be read ({error})"
            raise MatlabError(self._path, variable, found, "a whole file") from error

    def texts(self, variable: str, count: int) -> tuple[str, ...]:
        """The texts of a cell array of ``count`` cells.

        Raises:
            MatlabError: it is none.
        """
        allowed = f"a cell array of {count} texts"
        cells = self._variable(variable, allowed)
        if h5py.check_ref_dtype(cells.dtype) is not h5py.Reference:
            raise MatlabError(self._path, variable, f"{cells.shape} of {cells.dtype}", allowed)
        references = cells[()].ravel()
        if len(references) != count:
            raise MatlabError(self._path, variable, f"{len(references)} cells", allowed)
        try:
            return tuple(_text(self._file[reference]) for reference in references)
        except (ValueError, TypeError, KeyError) as error:
            raise MatlabError(self._path, variable, f"a cell without a text ({error})", allowed) from error

    def _variable(self, variable: str, allowed: str) -> Any:
        found = self._file.get(variable)
        if not isinstance(found, h5py.Dataset):
            there = ", ".join(sorted(name for name in self._file if not name.startswith("#"))) or "nothing"
            raise MatlabError(self._path, variable, f"no such data set, but {there}", allowed)
        return found


def is_hdf5(file: Path) -> bool:
    """Whether the file starts as HDF5 does, at its first byte or behind MATLAB's header.

    Raises:
        MatlabError: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(_USER_BLOCK + len(_HDF5))
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
        raise MatlabError(file, "", found, "a MATLAB file") from error
    return head.startswith(_HDF5) or head[_USER_BLOCK:] == _HDF5


def read_numbers(file: Path, variable: str, most: int) -> tuple[int, ...]:
    """A vector of different whole numbers from 1 to ``most``, ascending, out of a MATLAB file of any version.

    Raises:
        MatlabError: it holds no such thing.
    """
    allowed = f"a vector of different whole numbers from 1 to {most}"
    values = _vector(file, variable, allowed)
    if values.dtype.kind not in "fiu" or not values.size:
        raise MatlabError(file, variable, f"{values.shape} of {values.dtype}", allowed)
    wrong = [value for value in values.tolist() if not (1 <= value <= most and value == int(value))]
    if wrong:
        raise MatlabError(file, variable, f"{wrong[0]:g}", allowed)
    numbers = sorted(map(int, values))
    if repeated := _repeated(numbers):
        raise MatlabError(file, variable, f"{repeated[0]} twice", allowed)
    return tuple(numbers)


def _vector(file: Path, variable: str, allowed: str) -> NDArray[Any]:
    if is_hdf5(file):
        with MatlabFile(file) as opened:
            return np.asarray(opened._variable(variable, allowed)).ravel()
    from scipy.io import loadmat

    try:
        found = loadmat(file)
    except Exception as error:  # SciPy raises what each version's reader happens to run into
        raise MatlabError(file, "", f"no MATLAB file ({error})", "MATLAB's formats v4 to v7.3") from error
    if variable not in found:
        there = ", ".join(sorted(name for name in found if not name.startswith("__"))) or "nothing"
        raise MatlabError(file, variable, f"no such variable, but {there}", allowed)
    return np.asarray(found[variable]).ravel()


def _repeated(ascending: Sequence[int]) -> list[int]:
    return [one for one, other in pairwise(ascending) if one == other]


def _text(codes: Any) -> str:
    """The text of an array of UTF-16 codes."""
    values = np.asarray(codes)
    if values.dtype != np.uint16:
        raise ValueError(f"found {values.dtype}")
    return values.ravel().astype("<u2").tobytes().decode("utf-16-le")
