"""Which runtimes can run a file, from the versions of its operators.

A runtime refuses a file at once if it does not know one of the operator versions that the file lists. It may
still refuse one whose versions it all knows, so that only running it is proof: see ``proof.py``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from device_farm.model_files.flatbuffer import Reader, Table
from device_farm.model_files.model_check import HEADER_BYTES, RefusedModel, check_model_header, read_model
from device_farm.model_files.tflite_schema import builtin_name
from sweep.export.errors import ContractError, IncompatibleRuntime
from sweep.export.model_info import ModelInfo
from sweep.export.spellings import CUSTOM, nearest_spelling
from sweep.export.versions import FIRST_RUNTIME, minimum_runtime, release, tflite_release

Operator = tuple[str, int]
"""An operator and its version, such as ("CONV_2D", 5); custom ones are named "CUSTOM:<name>"."""


@dataclass(frozen=True)
class Compatibility:
    """Which TFLite releases have all operators of a file.

    Attributes:
        oldest: the first of them, such as "2.4.0"; None if there is none.
        forced_by: the operators that the release before it lacks.
        unknown: custom and Flex operators, and versions that no release of TFLite has.
    """

    oldest: str | None
    forced_by: tuple[Operator, ...]
    unknown: tuple[Operator, ...]


@dataclass(frozen=True)
class Problem:
    """An operator that a runtime lacks.

    Attributes:
        first_runtime: the TFLite release that first has it; None: no release has it.
        spelling: the nearest form that the runtime has, in words.
    """

    operator: str
    version: int
    first_runtime: str | None
    spelling: str

    def __str__(self) -> str:
        since = f"first in TFLite {self.first_runtime}" if self.first_runtime else "in no release of TFLite"
        return f"{self.operator} version {self.version} ({since}); nearest that it has: {self.spelling}"


def oldest_runtime(model: ModelInfo) -> Compatibility:
    """What the operators of a file's first subgraph need; `required_operators` looks at all of them."""
    return compatibility(model.operator_versions)


def compatibility(operators: Iterable[Operator]) -> Compatibility:
    """What these operators need."""
    needed = sorted(set(operators))
    unknown = tuple(operator for operator in needed if operator not in FIRST_RUNTIME)
    known = [operator for operator in needed if operator in FIRST_RUNTIME]
    oldest = minimum_runtime(known)
    forced_by = tuple(operator for operator in known if FIRST_RUNTIME[operator] == oldest)
    return Compatibility(None if unknown else oldest, forced_by, unknown)


def check_target(operators: Iterable[Operator], runtime: str) -> tuple[Problem, ...]:
    """The operators that a runtime lacks, sorted by name; empty: it has them all.

    Args:
        runtime: such as "2.5.0", "tflite-2.5.0" or "litert-2.3.0".

    Raises:
        ValueError: ``runtime`` is no such name.
    """
    target = tflite_release(runtime)
    return tuple(
        Problem(name, version, FIRST_RUNTIME.get((name, version)), nearest_spelling(name, version, target))
        for name, version in sorted(set(operators))
        if not _has(target, (name, version))
    )


def check_export(operators: Iterable[Operator], target_runtime: str) -> None:
    """Make sure that the runtime has all operators of a file that is to be written.

    Args:
        operators: of the file, such as `ModelInfo.operator_versions`.
        target_runtime: as for `check_target`.

    Raises:
        IncompatibleRuntime: names each operator that it lacks, and the nearest form that it has.
        ValueError: ``target_runtime`` is no such name.
    """
    problems = check_target(operators, target_runtime)
    if problems:
        raise IncompatibleRuntime(f"{target_runtime} lacks {'; '.join(str(problem) for problem in problems)}")


def required_operators(path: Path) -> frozenset[Operator]:
    """All operators that a file lists, whichever subgraph uses them: a runtime must know them all.

    Raises ContractError if it is no whole TFLite file, OSError if it cannot be read.
    """
    data = path.read_bytes()
    try:
        check_model_header(data[:HEADER_BYTES])
        reader, model = read_model(memoryview(data))
    except RefusedModel as refusal:
        raise ContractError(f"{path}: {refusal}") from None
    return frozenset((_name(code, reader), int(code["version"])) for code in model["operator_codes"])


def _name(code: Table, reader: Reader) -> str:
    name = builtin_name(code)
    return f"{CUSTOM}{reader.text(code['custom_code'])}" if name == "CUSTOM" else name


def _has(runtime: str, operator: Operator) -> bool:
    first = FIRST_RUNTIME.get(operator)
    return first is not None and release(first) <= release(runtime)
