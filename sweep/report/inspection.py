"""What `sweep inspect` shows of a TFLite file, for people and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Final, Literal

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sweep.export.graph import DepthEncoding, Quantization
from sweep.export.inspection import Inspection
from sweep.export.inspection.remarks import bytes_text, operator_name, shape_text, short
from sweep.export.model_info import ModelInfo, TensorInfo
from sweep.lifecycle.events import Json
from sweep.report.text import count, one_line

_STYLES: Final = {"problem": "bold red", "cost": "yellow", "note": "cyan"}
_SHOWN_BYTES: Final = 80
_SHOWN_TENSORS: Final = 3
_UNDELEGATED: Final = "*"
_SHORTEST_NAME: Final = 12
_COLUMNS: Final[tuple[tuple[str, Literal["left", "right"]], ...]] = (
    ("#", "right"),
    ("operator", "left"),
    ("v", "right"),
    ("output", "left"),
    ("type", "left"),
    ("M MACs", "right"),
    ("share", "right"),
    ("params", "right"),
)


def inspection_json(found: Inspection) -> dict[str, Json]:
    """The inspection as plain data.

    Keys, which stay as they are; sizes are in bytes, operators and tensors are meant by index:

    - ``file``, ``size_bytes``, ``description``, ``subgraphs`` (only the first is described);
    - ``inputs``, ``outputs``: tensors, each ``index``, ``name``, ``type``, ``shape`` (-1: not known) and
      ``quantization``: null, or ``scales``, ``zero_points`` and ``axis``;
    - ``depth_encoding``: null, or ``kind``, ``min_mm`` and ``max_mm``;
    - ``keeps_contract``: whether `sweep evaluate` can judge it;
    - ``parameters``, ``parameters_by_type``, ``multiply_adds``, ``tensors``, ``constants`` (their numbers),
      ``constant_bytes``;
    - ``memory``: ``peak_bytes`` of activations, at ``peak_operator`` with ``peak_tensors``, and, in that,
      ``unpacked_bytes`` of weights; ``total_bytes`` adds the constants;
    - ``operators``: in order, each ``index``, ``name``, ``version``, ``inputs``, ``outputs``, ``output_name``,
      ``output_type``, ``output_shape``, ``multiply_adds``, ``multiply_add_share`` (0 to 1), ``parameters``,
      ``live_bytes`` and ``delegated`` (null: not known);
    - ``oldest_runtime``: the first TensorFlow Lite that knows all operators, or null; ``noted_runtime``: what the
      file itself says, or null;
    - ``delegation``: null, or ``runtime``, ``partitions`` and the number ``left`` to the interpreter;
    - ``metadata``: entries, each ``name`` and ``bytes``;
    - ``remarks``: each ``kind``, ``level`` (problem, cost, note), ``found``, ``advice``, ``operators``,
      ``tensors``.
    """
    model, memory, delegation = found.model, found.memory, found.delegation
    encoding = None if found.contract is None else found.contract.depth_encoding
    return {
        "file": str(found.path),
        "size_bytes": model.size_bytes,
        "description": model.description,
        "subgraphs": model.subgraphs,
        "inputs": [_tensor_json(model, index) for index in model.input_indexes],
        "outputs": [_tensor_json(model, index) for index in model.output_indexes],
        "depth_encoding": None if encoding is None else asdict(encoding),
        "keeps_contract": found.contract is not None,
        "parameters": model.parameters,
        "parameters_by_type": {**model.parameters_by_type},
        "multiply_adds": model.multiply_adds,
        "tensors": len(model.tensors),
        "constants": _constants(model),
        "constant_bytes": model.constant_bytes,
        "memory": {
            "peak_bytes": memory.peak_bytes,
            "peak_operator": memory.peak_operator,
            "peak_tensors": list(memory.peak_tensors),
            "unpacked_bytes": memory.unpacked_bytes,
            "total_bytes": memory.peak_bytes + model.constant_bytes,
        },
        "operators": [_operator_json(found, position) for position in range(len(model.operators))],
        "oldest_runtime": found.oldest_runtime,
        "noted_runtime": model.min_runtime_version,
        "delegation": None
        if delegation is None
        else {
            "runtime": delegation.runtime,
            "partitions": delegation.partitions,
            "left": len(delegation.left),
        },
        "metadata": [{"name": entry.name, "bytes": len(entry.data)} for entry in model.metadata],
        "remarks": [
            {
                "kind": remark.kind,
                "level": remark.level,
                "found": remark.found,
                "advice": remark.advice,
                "operators": list(remark.operators),
                "tensors": list(remark.tensors),
            }
            for remark in found.remarks
        ],
    }


def inspection_view(found: Inspection, *, width: int) -> RenderableType:
    """Figures, what stands out, and the operators in order, laid out for ``width`` columns, at least 80."""
    parts: list[RenderableType] = [Text(str(found.path), style="bold"), _figures(found), Text("")]
    parts += _remarks(found)
    return Group(
        *parts,
        Text(""),
        Text("Operators, in the order of execution", style="bold"),
        *_operators(found, width),
    )


def _figures(found: Inspection) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(found):
        table.add_row(Text(name), Text(one_line(value)))
    return table


def _facts(found: Inspection) -> Iterator[tuple[str, str]]:
    model = found.model
    yield "size", f"{model.size_bytes:,} bytes, of which constants {model.constant_bytes:,}"
    if model.description:
        yield "description", model.description
    encoding = None if found.contract is None else found.contract.depth_encoding
    for tensor in model.inputs:
        yield "input", _end_text(tensor)
    for tensor in model.outputs:
        yield "output", _end_text(tensor) + _encoding_text(encoding)
    yield "contract", "kept: a depth network that can be judged" if found.contract else "broken"
    yield "parameters", _parameters_text(model)
    yield "multiply-adds", f"{model.multiply_adds / 1e6:,.1f} M"
    yield "tensors", f"{len(model.tensors)}, of which {_constants(model)} constant"
    kinds = ", ".join(f"{name} {amount}" for name, amount in model.operator_counts.items())
    yield "operators", f"{len(model.operators)}: {kinds}"
    yield "memory", _memory_text(found)
    yield "runtime", _runtime_text(found)
    yield "XNNPACK", _delegation_text(found)
    for entry in model.metadata:
        yield "metadata", _metadata_text(entry.name, entry.data)


def _end_text(tensor: TensorInfo) -> str:
    return f"{tensor.name}: {shape_text(tensor.shape)} {tensor.type}{_quantization_text(tensor.quantization)}"


def _quantization_text(quantization: Quantization | None) -> str:
    if quantization is None:
        return ""
    if len(quantization.scales) > 1:
        return f", {len(quantization.scales)} scales along axis {quantization.axis}"
    return f", scale {quantization.scales[0]:.6g}, zero point {quantization.zero_points[0]}"


def _encoding_text(encoding: DepthEncoding | None) -> str:
    if encoding is None:
        return ""
    return f"; codes 0 to 255 are {encoding.min_mm:g} to {encoding.max_mm:g} mm, {encoding.kind}"


def _parameters_text(model: ModelInfo) -> str:
    kinds = [f"{amount:,} {name}" for name, amount in model.parameters_by_type.items()]
    return (
        kinds[0] if len(kinds) == 1 else f"{model.parameters:,}" + (f": {', '.join(kinds)}" if kinds else "")
    )


def _memory_text(found: Inspection) -> str:
    model, memory = found.model, found.memory
    if memory.peak_operator is None:
        return f"constants {bytes_text(model.constant_bytes)}"
    largest = ", ".join(
        f"{short(model.tensors[index].name)} {bytes_text(model.tensors[index].nbytes)}"
        for index in memory.peak_tensors[:_SHOWN_TENSORS]
    )
    unpacked = (
        f", {bytes_text(memory.unpacked_bytes)} of it unpacked weights" if memory.unpacked_bytes else ""
    )
    return (
        f"at least {bytes_text(memory.peak_bytes)} of activations{unpacked}, at operator "
        f"{operator_name(model, memory.peak_operator)}: {largest}; "
        f"with constants {bytes_text(memory.peak_bytes + model.constant_bytes)}"
    )


def _runtime_text(found: Inspection) -> str:
    noted = found.model.min_runtime_version
    own = f"; the file itself says {noted}" if noted else ""
    if found.oldest_runtime is None:
        return f"the oldest that can run it is not known{own}"
    return f"TensorFlow Lite {found.oldest_runtime} or newer{own}"


def _delegation_text(found: Inspection) -> str:
    delegation, total = found.delegation, len(found.model.operators)
    if delegation is None:
        return "not known: the file cannot be loaded"
    taken = total - len(delegation.left)
    parts = f" in {count(delegation.partitions, 'part')}" if taken else ""
    return f"takes {taken} of {count(total, 'operator')}{parts} ({delegation.runtime})"


def _metadata_text(name: str, data: bytes) -> str:
    """A short text as it is, anything else by its size."""
    text = data.rstrip(b"\0").decode(errors="replace")
    shown = (
        text
        if len(text) <= _SHOWN_BYTES and text.isprintable() and text.isascii()
        else f"{len(data):,} bytes"
    )
    return f"{name}: {shown}"


def _remarks(found: Inspection) -> Iterator[RenderableType]:
    if not found.remarks:
        yield Text("Nothing stands out.", style="bold")
        return
    yield Text("What stands out", style="bold")
    for remark in found.remarks:
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column(width=7, no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row(Text(remark.level, style=_STYLES[remark.level]), Text(one_line(remark.found)))
        table.add_row("", Text(f"-> {remark.advice}", style="dim"))
        yield Padding(table, (0, 0, 0, 2))


def _operators(found: Inspection, width: int) -> Iterator[RenderableType]:
    rows = [_operator_cells(found, position) for position in range(len(found.model.operators))]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for heading, justify in _COLUMNS:
        table.add_column(heading, no_wrap=True, justify=justify)
    # Names get what the figures and two blanks after each leave, if that is enough to tell them apart.
    columns = zip(*([heading for heading, _ in _COLUMNS], *rows), strict=True)
    room = width - sum(max(map(len, column)) + 2 for column in columns)
    if room >= _SHORTEST_NAME:
        table.add_column("name", no_wrap=True)
    for position, row in enumerate(rows):
        name = (
            [Text(short(_output_name(found.model, position), longest=room))] if room >= _SHORTEST_NAME else []
        )
        style = "yellow" if _delegated(found, position) is False else None
        table.add_row(*map(Text, row), *name, style=style)
    yield table
    if found.delegation is not None and found.delegation.left:
        yield Text(f"{_UNDELEGATED} not taken by XNNPACK")


def _operator_cells(found: Inspection, position: int) -> tuple[str, ...]:
    model, operator = found.model, found.model.operators[position]
    outputs = [model.tensors[index] for index in operator.outputs]
    multiply_adds, parameters = model.operator_multiply_adds[position], model.operator_parameters[position]
    return (
        str(position),
        one_line(operator.name) + (_UNDELEGATED if _delegated(found, position) is False else ""),
        str(operator.version),
        shape_text(outputs[0].shape) + ("+" if len(outputs) > 1 else "") if outputs else "",
        outputs[0].type if outputs else "",
        f"{multiply_adds / 1e6:.2f}" if multiply_adds else "",
        f"{multiply_adds / model.multiply_adds:.1%}" if multiply_adds else "",
        f"{parameters:,}" if parameters else "",
    )


def _output_name(model: ModelInfo, position: int) -> str:
    outputs = model.operators[position].outputs
    return one_line(model.tensors[outputs[0]].name) if outputs else ""


def _delegated(found: Inspection, position: int) -> bool | None:
    return None if found.delegation is None else position not in found.delegation.left


def _constants(model: ModelInfo) -> int:
    return sum(tensor.constant for tensor in model.tensors)


def _tensor_json(model: ModelInfo, index: int) -> Json:
    tensor = model.tensors[index]
    quantization = tensor.quantization
    return {
        "index": index,
        "name": tensor.name,
        "type": tensor.type,
        "shape": list(tensor.shape),
        "quantization": None
        if quantization is None
        else {
            "scales": list(quantization.scales),
            "zero_points": list(quantization.zero_points),
            "axis": quantization.axis,
        },
    }


def _operator_json(found: Inspection, position: int) -> Json:
    model = found.model
    operator = model.operators[position]
    output = model.tensors[operator.outputs[0]] if operator.outputs else None
    total = model.multiply_adds
    return {
        "index": position,
        "name": operator.name,
        "version": operator.version,
        "inputs": list(operator.inputs),
        "outputs": list(operator.outputs),
        "output_name": None if output is None else output.name,
        "output_type": None if output is None else output.type,
        "output_shape": None if output is None else list(output.shape),
        "multiply_adds": model.operator_multiply_adds[position],
        "multiply_add_share": model.operator_multiply_adds[position] / total if total else 0.0,
        "parameters": model.operator_parameters[position],
        "live_bytes": found.memory.operator_bytes[position],
        "delegated": _delegated(found, position),
    }
