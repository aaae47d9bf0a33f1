"""What stands out in a file's graph, whatever its weights."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from sweep.export.inspection.remarks import (
    Remark,
    Rule,
    bytes_text,
    operator_names,
    shape_text,
    short,
    tensor_names,
    times,
)
from sweep.export.model_info import ModelInfo, OperatorInfo

FUSABLE_ACTIVATIONS: Final = frozenset({"RELU", "RELU6", "RELU_N1_TO_1"})
UNFUSED: Final = 0  # ActivationFunctionType NONE of the TFLite schema
# What these do does not follow from their inputs, or does more than fill their outputs.
IMPURE: Final = (
    "ASSIGN",
    "CALL",
    "CUSTOM",
    "HASHTABLE",
    "IF",
    "MULTINOMIAL",
    "RANDOM",
    "READ",
    "VAR",
    "WHILE",
)
INTEGER_CODES: Final = frozenset({"int8", "uint8", "int16"})
BRIDGES: Final = frozenset({"QUANTIZE", "DEQUANTIZE"})


def several_subgraphs(model: ModelInfo) -> Iterator[Remark]:
    """Only the first subgraph is looked at."""
    if model.subgraphs > 1:
        yield Remark(
            "several_subgraphs",
            "note",
            f"{model.subgraphs} subgraphs; all that is said here is about the first",
            "export one function without control flow",
        )


def custom_operators(model: ModelInfo) -> Iterator[Remark]:
    """Operators that no plain TFLite runtime has."""
    found = named(model, lambda operator: operator.name.startswith("CUSTOM:"))
    if found:
        flex = any(model.operators[position].name.startswith("CUSTOM:Flex") for position in found)
        lacking = (
            "TensorFlow's Flex delegate, which tflite-runtime lacks" if flex else "a kernel of their own"
        )
        yield Remark(
            "custom_operators",
            "problem",
            f"{times(len(found), 'custom operator')}: {operator_names(model, found)}",
            f"they need {lacking}; write them with builtin operators",
            found,
        )


def transposes(model: ModelInfo) -> Iterator[Remark]:
    """Changes of layout, which compute nothing."""
    found = named(model, lambda operator: operator.name == "TRANSPOSE")
    if found:
        moved = sum(model.tensors[index].nbytes for p in found for index in model.operators[p].outputs)
        yield Remark(
            "transposes",
            "cost",
            f"{len(found)} TRANSPOSE {'moves' if len(found) == 1 else 'move'} {bytes_text(moved)}: "
            f"{operator_names(model, found)}",
            "keep feature maps in NHWC from input to output, so that nothing is left to transpose",
            found,
        )


def dynamic_shapes(model: ModelInfo) -> Iterator[Remark]:
    """Sizes that are known only when the file runs."""
    found = tuple(index for index, tensor in enumerate(model.tensors) if min(tensor.shape, default=0) < 0)
    if found:
        first = model.tensors[found[0]]
        yield Remark(
            "dynamic_shapes",
            "cost",
            f"{times(len(found), 'tensor')} with unknown sizes, first {short(first.name)!r}, "
            f"{shape_text(first.shape)}",
            "convert with fixed sizes: delegates leave such operators alone, and memory is planned anew",
            tensors=found,
        )


def quantize_pairs(model: ModelInfo) -> Iterator[Remark]:
    """Conversions that undo each other."""
    for first, second, advice in (
        ("DEQUANTIZE", "QUANTIZE", "give both sides the same scale, or rescale with one QUANTIZE"),
        ("QUANTIZE", "DEQUANTIZE", "remove both, unless the rounding is meant"),
    ):
        pairs = [
            (model.writers[index], position)
            for position, operator in enumerate(model.operators)
            if operator.name == second
            for index in operator.inputs[:1]
            if index in model.writers and model.operators[model.writers[index]].name == first
        ]
        if pairs:
            found = tuple(dict.fromkeys(position for pair in pairs for position in pair))
            yield Remark(
                "quantize_pairs",
                "cost",
                f"{times(len(pairs), 'pair')} {first} -> {second} with nothing between: "
                f"{operator_names(model, found)}",
                advice,
                found,
            )


def float_islands(model: ModelInfo) -> Iterator[Remark]:
    """Float operators of a quantised graph that have integer arithmetic both before and after them."""
    integers = {p for p, operator in enumerate(model.operators) if computes_in_integers(model, operator)}
    before, after = followers(model, integers), leaders(model, integers)
    found = tuple(
        position
        for position, operator in enumerate(model.operators)
        if position in before and position in after and computes_in_floats(model, operator)
    )
    if found:
        yield Remark(
            "float_islands",
            "cost",
            f"{times(len(found), 'float operator')} amid integer ones: {operator_names(model, found)}",
            "quantise them too, or move them behind the last quantised operator",
            found,
        )


def unfused_activations(model: ModelInfo) -> Iterator[Remark]:
    """Activations that the operator before them could apply itself."""
    found = tuple(p for p, operator in enumerate(model.operators) if is_fusable(model, operator))
    if found:
        moved = sum(model.tensors[index].nbytes for p in found for index in model.operators[p].outputs)
        yield Remark(
            "unfused_activations",
            "cost",
            f"{times(len(found), 'activation')} that could be fused, {bytes_text(moved)} written again: "
            f"{operator_names(model, found)}",
            "set it as the fused activation of the operator before",
            found,
        )


def duplicated_operators(model: ModelInfo) -> Iterator[Remark]:
    """Operators that compute what another one computed already."""
    same = equal_constants(model)
    first: dict[Any, OperatorInfo] = {}
    found = []
    for position, operator in enumerate(model.operators):
        if operator.name.startswith(IMPURE) or any(
            model.tensors[i].variable for i in operator.inputs if i >= 0
        ):
            continue
        kinds = tuple((model.tensors[i].type, model.tensors[i].quantization) for i in operator.outputs)
        operands = tuple(same.get(index, index) for index in operator.inputs)
        options = tuple(sorted(operator.options.items()))
        twin = first.setdefault((operator.name, operator.version, operands, options, kinds), operator)
        if twin is not operator:
            found.append(position)
            same.update(zip(operator.outputs, twin.outputs, strict=True))
    if found:
        spent = sum(model.operator_multiply_adds[position] for position in found)
        yield Remark(
            "duplicated_operators",
            "cost",
            f"{times(len(found), 'operator')} compute{'s' if len(found) == 1 else ''} what an earlier one does, "
            f"{spent / 1e6:.2f} M multiply-adds: {operator_names(model, found)}",
            "compute it once and let all readers share the result",
            tuple(found),
        )


def dead_operators(model: ModelInfo) -> Iterator[Remark]:
    """Operators from which no output follows."""
    roots = {model.writers[index] for index in model.output_indexes if index in model.writers}
    roots |= {p for p, operator in enumerate(model.operators) if operator.name.startswith(IMPURE)}
    found = tuple(sorted(set(range(len(model.operators))) - leaders(model, roots) - roots))
    if found:
        spent = sum(model.operator_multiply_adds[position] for position in found)
        yield Remark(
            "dead_operators",
            "cost",
            f"{times(len(found), 'operator')} whose results nobody reads, {spent / 1e6:.2f} M multiply-adds: "
            f"{operator_names(model, found)}",
            "remove them",
            found,
        )


def unread_constants(model: ModelInfo) -> Iterator[Remark]:
    """Constants that only make the file larger."""
    found = tuple(
        index
        for index, tensor in enumerate(model.tensors)
        if tensor.constant and index not in model.readers and index not in model.output_indexes
    )
    if found:
        wasted = sum(model.tensors[index].nbytes for index in found)
        yield Remark(
            "unread_constants",
            "cost",
            f"{times(len(found), 'constant')} of {bytes_text(wasted)} that no operator reads: "
            f"{tensor_names(model, found)}",
            "leave them out of the file",
            tensors=found,
        )


STRUCTURE_RULES: Final[tuple[Rule, ...]] = (
    several_subgraphs,
    custom_operators,
    transposes,
    dynamic_shapes,
    quantize_pairs,
    float_islands,
    unfused_activations,
    duplicated_operators,
    dead_operators,
    unread_constants,
)


def named(model: ModelInfo, wanted: Callable[[OperatorInfo], bool]) -> tuple[int, ...]:
    """The operators, by index, for which ``wanted`` is true."""
    return tuple(position for position, operator in enumerate(model.operators) if wanted(operator))


def is_fusable(model: ModelInfo, operator: OperatorInfo) -> bool:
    """Whether it is an activation whose input only it reads, made by an operator with none of its own."""
    if operator.name not in FUSABLE_ACTIVATIONS or not operator.inputs:
        return False
    source = operator.inputs[0]
    if source not in model.writers or source in model.output_indexes or len(model.readers[source]) > 1:
        return False
    before = model.operators[model.writers[source]]
    return before.options.get("fused_activation_function") == UNFUSED


def computes_in_integers(model: ModelInfo, operator: OperatorInfo) -> bool:
    """Whether it maps quantised numbers to quantised numbers."""
    if operator.name in BRIDGES or not operator.outputs:
        return False
    output = model.tensors[operator.outputs[0]]
    return output.quantized and output.type in INTEGER_CODES


def computes_in_floats(model: ModelInfo, operator: OperatorInfo) -> bool:
    """Whether it makes floats of something else than codes."""
    if operator.name in BRIDGES or not operator.outputs:
        return False
    return model.tensors[operator.outputs[0]].type == "float32"


def followers(model: ModelInfo, sources: set[int]) -> set[int]:
    """The operators that read, directly or not, what the sources write."""
    reached: set[int] = set()
    for position, operator in enumerate(model.operators):
        written_by = {model.writers[index] for index in operator.inputs if index in model.writers}
        if written_by & (reached | sources):
            reached.add(position)
    return reached


def leaders(model: ModelInfo, sinks: set[int]) -> set[int]:
    """The operators that write, directly or not, what the sinks read."""
    reached: set[int] = set()
    for position in reversed(range(len(model.operators))):
        if position in reached | sinks:
            inputs = model.operators[position].inputs
            reached |= {model.writers[index] for index in inputs if index in model.writers}
    return reached


def equal_constants(model: ModelInfo) -> dict[int, int]:
    """For each constant that equals an earlier one in all but its name, that one."""
    first: dict[Any, int] = {}
    same: dict[int, int] = {}
    for index, tensor in enumerate(model.tensors):
        if tensor.data is not None and not tensor.variable:
            key = (tensor.type, tensor.shape, tensor.quantization, tensor.data.tobytes())
            same[index] = first.setdefault(key, index)
    return same
