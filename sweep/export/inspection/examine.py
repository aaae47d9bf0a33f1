"""All that is to say about a TFLite file, of whatever origin: figures, ends, and what stands out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sweep.export.errors import ContractError, RunnerError
from sweep.export.inspect import Contract, contract_of, inspect_model
from sweep.export.inspection.costs import (
    full_frame_resizes,
    large_share_of_memory,
    large_shares_of_multiply_adds,
    not_delegated,
)
from sweep.export.inspection.delegation import Delegation, ask_runtime
from sweep.export.inspection.memory import MemoryUse, memory_use
from sweep.export.inspection.remarks import Level, Remark
from sweep.export.inspection.structure import STRUCTURE_RULES
from sweep.export.inspection.weights import WEIGHT_RULES
from sweep.export.model_info import ModelInfo
from sweep.export.versions import minimum_runtime

LEVELS: tuple[Level, ...] = ("problem", "cost", "note")


@dataclass(frozen=True)
class Inspection:
    """A file's first subgraph and what follows from it.

    Attributes:
        path: the file.
        model: what it holds.
        contract: how it keeps the contract; None if it breaks it, which is then a remark.
        memory: what its activations take.
        oldest_runtime: the first TensorFlow Lite that knows all operators in their versions; None where an
            operator is not known well enough to say.
        delegation: what XNNPACK takes over; None if the runtime refuses the file, which is then a remark.
        remarks: what stands out, problems first.
    """

    path: Path
    model: ModelInfo
    contract: Contract | None
    memory: MemoryUse
    oldest_runtime: str | None
    delegation: Delegation | None
    remarks: tuple[Remark, ...]


def examine(path: Path) -> Inspection:
    """Look at a TFLite file; it is loaded once, in a child process, but not run.

    Raises ContractError if it is no TFLite file or a damaged one, OSError if it cannot be read.
    """
    model = inspect_model(path)
    memory = memory_use(model)
    contract, delegation = None, None
    remarks: list[Remark] = []
    try:
        contract = contract_of(model, path.name)
    except ContractError as error:
        remarks.append(contract_remark(error, path))
    try:
        delegation = ask_runtime(path)
    except RunnerError as error:
        remarks.append(runtime_remark(error))
    remarks += find_remarks(model, memory, delegation)
    remarks.sort(key=lambda remark: LEVELS.index(remark.level))
    return Inspection(path, model, contract, memory, oldest_runtime(model), delegation, tuple(remarks))


def find_remarks(model: ModelInfo, memory: MemoryUse, delegation: Delegation | None) -> Iterator[Remark]:
    """What stands out in the file itself."""
    for rule in STRUCTURE_RULES:
        yield from rule(model)
    yield from full_frame_resizes(model)
    if delegation is not None:
        yield from not_delegated(model, delegation)
    yield from large_shares_of_multiply_adds(model)
    yield from large_share_of_memory(model, memory)
    for rule in WEIGHT_RULES:
        yield from rule(model)
    yield from ignored_input_quantization(model)


def oldest_runtime(model: ModelInfo) -> str | None:
    """The first TensorFlow Lite that knows all the operators; None if that is not known of one of them."""
    try:
        return minimum_runtime(model.operator_versions)
    except KeyError:
        return None


def contract_remark(error: ContractError, path: Path) -> Remark:
    """For a file that is not a depth network of the challenge's form."""
    reason = str(error).removeprefix(f"{path.name}: ")
    return Remark(
        "breaks_contract",
        "problem",
        f"it breaks the contract of depth networks: {reason}",
        "to judge it with `sweep evaluate`, export it with these ends",
    )


def runtime_remark(error: RunnerError) -> Remark:
    """For a file that cannot even be loaded."""
    return Remark(
        "refused_by_runtime",
        "problem",
        f"tflite-runtime cannot load it: {error}",
        "no latency can be measured under this runtime; see its reason",
    )


def ignored_input_quantization(model: ModelInfo) -> Iterator[Remark]:
    """A uint8 input that declares another scale than that of plain bytes."""
    for index in model.input_indexes:
        tensor = model.tensors[index]
        quantization = tensor.quantization
        if tensor.type != "uint8" or quantization is None or len(quantization.scales) != 1:
            continue
        if (quantization.scales[0], quantization.zero_points[0]) != (1.0, 0):
            yield Remark(
                "input_quantization_ignored",
                "note",
                f"input {tensor.name!r} declares scale {quantization.scales[0]:.6g} and zero point "
                f"{quantization.zero_points[0]}",
                "it is fed the image's bytes, 0 to 255, as they are",
                tensors=(index,),
            )
