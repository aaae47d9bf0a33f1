"""The time per operator of a TFLite file, by running ever longer prefixes of it.

The Python interface of TFLite's interpreters cannot time single operators, and a delegate hides the operators
that it takes over. But any interpreter can run the first k operators of a file, so operator k takes as long
as the first k take longer than the first k - 1. The first operator's time includes the cost of an invocation.

``operators`` names the operators, ``prefix`` cuts a file (``prefix_patches`` tells how, for programs that
cannot import this module), ``operator_times`` makes times of what the prefixes took.

How to sample: in rounds over all prefixes, each a few times per round, so that a disturbance or a warming board
meets all of them; then the quickest time of each prefix. Differences of times need more care than times: on a
busy machine, against an interpreter's own profiler, 3 rounds of 6 put 12 % of the time at wrong operators with
the quickest, 41 % with medians. Operators below about 1 % of the whole cannot be told apart.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from device_farm.model_files.flatbuffer import UINT32, Reader, Table
from device_farm.model_files.model_check import check_model_header, read_model
from device_farm.model_files.tflite_schema import builtin_name


@dataclass(frozen=True)
class OperatorInfo:
    """One operator, in the order of execution.

    Attributes:
        index: its place, from 0 on.
        name: such as CONV_2D; of a custom operator, the name that it is registered under.
        output: its first output tensor's name; empty if it has none.
        shape: that tensor's shape.
    """

    index: int
    name: str
    output: str
    shape: tuple[int, ...]


class Patch(NamedTuple):
    """A change of a file: an unsigned 32-bit number, little-endian, to be written at a byte position.

    The position may lie at the file's end or behind it; the file then grows.
    """

    position: int
    value: int


def operators(data: bytes) -> tuple[OperatorInfo, ...]:
    """The operators of a file with one subgraph.

    Raises:
        RefusedModel: the bytes are no whole TFLite file.
        ValueError: the file has several subgraphs.
    """
    reader, model, graph = _read(data)
    return tuple(
        _info(index, operator, graph["tensors"], model["operator_codes"], reader)
        for index, operator in enumerate(graph["operators"])
    )


def patched(data: bytes, patches: Iterable[Patch]) -> bytes:
    """The file with these patches, such as those of one prefix."""
    cut = bytearray(data)
    for position, value in patches:
        cut.extend(bytes(max(0, position + UINT32.size - len(cut))))
        UINT32.pack_into(cut, position, value)
    return bytes(cut)


def prefix_patches(data: bytes) -> tuple[tuple[Patch, ...], ...]:
    """For each prefix, from one operator to all of them, the patches that make it of the file.

    What is there keeps its place: the length of the graph's list of operators becomes smaller, and the
    reference to its list of outputs points to a new list behind the end, of all tensors that the operators
    left out would have read. With fewer outputs a delegate would drop the operators that only those need, such
    as the skip connections of a U-Net. The last prefix is the whole file and has no patches.

    Raises:
        RefusedModel: the bytes are no whole TFLite file.
        ValueError: the file has several subgraphs.
    """
    reader, _, graph = _read(data)
    length = reader.target_position(graph, "operators")
    reference = reader.field_position(graph, "outputs")
    end = -(-len(data) // UINT32.size) * UINT32.size
    cuts = []
    for count, outputs in enumerate(_live_tensors(graph, reader)[:-1], start=1):
        numbers = enumerate((len(outputs), *outputs))
        listed = (Patch(end + UINT32.size * place, number) for place, number in numbers)
        cuts.append((Patch(length, count), Patch(reference, end - reference), *listed))
    return (*cuts, ())


def _live_tensors(graph: Table, reader: Reader) -> list[list[int]]:
    """After each operator, the tensors written so far that a later one or the graph's caller reads.

    What follows from constants alone does not count: interpreters compute it once, such as weights that are
    stored in float16, and delegates cannot output it. Where nothing else is left, it is the graph's input.
    """
    inputs = reader.integers(graph["inputs"])
    operators = [
        (reader.integers(one["inputs"]), reader.integers(one["outputs"])) for one in graph["operators"]
    ]
    last_reader = dict.fromkeys(reader.integers(graph["outputs"]), len(operators))
    for index, (read, _) in reversed(tuple(enumerate(operators))):
        for tensor in read:
            last_reader.setdefault(tensor, index)
    changing = {*inputs, *(index for index, tensor in enumerate(graph["tensors"]) if tensor["is_variable"])}
    live: list[int] = []
    after = []
    for index, (read, written) in enumerate(operators):
        if not read or changing.intersection(read):
            changing.update(written)
            live = [*live, *written]
        live = [tensor for tensor in live if last_reader.get(tensor, 0) > index]
        after.append(live or [inputs[0]])
    return after


def operator_times(prefix_times_ms: Sequence[float]) -> tuple[float, ...]:
    """The time of each operator, from the time of each prefix; milliseconds.

    A longer prefix cannot be quicker, but measured times scatter. So they are replaced by the closest sequence,
    by least squares, that never falls and ends with the last time: isotonic regression by pooling adjacent
    violators (Barlow, Bartholomew, Bremner, Brunk, "Statistical Inference under Order Restrictions", 1972),
    clipped at the last time. Its differences are the operators' times: none is negative, and their sum is the
    whole model's time.

    Raises:
        ValueError: there are no times, or one is not positive and finite.
    """
    for time_ms in prefix_times_ms:
        if not 0 < time_ms < math.inf:
            raise ValueError(f"a prefix took {time_ms} ms, but times are positive and finite")
    if not prefix_times_ms:
        raise ValueError("no prefix was timed")
    *before, whole = prefix_times_ms
    rising = [min(value, whole) for value in _isotonic(before)]
    return tuple(later - earlier for earlier, later in pairwise([0.0, *rising, whole]))


def _isotonic(values: Sequence[float]) -> list[float]:
    """The closest sequence by least squares that never falls: neighbours that do are pooled to their mean."""
    pools: list[tuple[float, int]] = []  # the sum and the number of the values in each
    for value in values:
        total, size = value, 1
        while pools and pools[-1][0] * size >= total * pools[-1][1]:
            pooled, count = pools.pop()
            total, size = total + pooled, size + count
        pools.append((total, size))
    return [total / size for total, size in pools for _ in range(size)]


def _read(data: bytes) -> tuple[Reader, Table, Table]:
    """Reader, model and the only subgraph of a checked file."""
    check_model_header(data[:8])
    reader, model = read_model(memoryview(data))
    subgraphs = model["subgraphs"]
    if len(subgraphs) != 1:
        raise ValueError(f"the file has {len(subgraphs)} subgraphs; only one can be cut")
    return reader, model, subgraphs[0]


def _info(
    index: int, operator: Table, tensors: Sequence[Table], codes: Sequence[Table], reader: Reader
) -> OperatorInfo:
    code = codes[operator["opcode_index"]]
    name = builtin_name(code)
    if name == "CUSTOM":
        name = reader.text(code["custom_code"])
    outputs = reader.integers(operator["outputs"])
    if not outputs:
        return OperatorInfo(index, name, "", ())
    tensor = tensors[outputs[0]]
    return OperatorInfo(index, name, reader.text(tensor["name"]), reader.integers(tensor["shape"]))
