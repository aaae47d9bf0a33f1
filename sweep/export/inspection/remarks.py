"""A remark on what stands out in a TFLite file, and the words that all remarks share."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from sweep.export.graph import Shape
from sweep.export.model_info import ModelInfo

Level = Literal["problem", "cost", "note"]
Kind = Literal[
    "breaks_contract",
    "constants_stored_twice",
    "custom_operators",
    "dead_operators",
    "denormal_weights",
    "duplicated_operators",
    "dynamic_shapes",
    "float_islands",
    "full_frame_resize",
    "input_quantization_ignored",
    "integers_not_delegated",
    "large_share_of_memory",
    "large_share_of_multiply_adds",
    "not_delegated",
    "not_finite_weights",
    "quantize_pairs",
    "refused_by_runtime",
    "several_subgraphs",
    "transposes",
    "unfused_activations",
    "unread_constants",
    "zero_channels",
]
NAMED = 3  # more operators than these are counted, not named


@dataclass(frozen=True)
class Remark:
    """One thing that stands out.

    Attributes:
        kind: which rule found it.
        level: ``problem``: the file cannot be used as it is, or not everywhere; ``cost``: it could be faster or
            smaller; ``note``: good to know.
        found: the operators or tensors, and the figure.
        advice: what to do.
        operators: those meant, by index.
        tensors: those meant, by index.
    """

    kind: Kind
    level: Level
    found: str
    advice: str
    operators: tuple[int, ...] = ()
    tensors: tuple[int, ...] = ()


Rule = Callable[[ModelInfo], Iterator[Remark]]


def operator_name(model: ModelInfo, position: int) -> str:
    """Such as ``12 CONV_2D (encoder/conv)``: index, kind and the name of the output."""
    operator = model.operators[position]
    output = f" ({short(model.tensors[operator.outputs[0]].name)})" if operator.outputs else ""
    return f"{position} {operator.name}{output}"


def operator_names(model: ModelInfo, positions: Iterable[int]) -> str:
    """The first few by name, and how many more there are."""
    return few([operator_name(model, position) for position in positions])


def operators_by_kind(model: ModelInfo, positions: Iterable[int]) -> str:
    """Each kind with its operators, such as ``EXP 49; RESIZE_NEAREST_NEIGHBOR 41, 45, 48``."""
    kinds: dict[str, list[str]] = {}
    for position in positions:
        kinds.setdefault(model.operators[position].name, []).append(str(position))
    return "; ".join(f"{kind} {few(indexes)}" for kind, indexes in sorted(kinds.items()))


def tensor_names(model: ModelInfo, indexes: Iterable[int]) -> str:
    """The first few tensors by name, and how many more there are."""
    return few([repr(short(model.tensors[index].name)) for index in indexes])


def few(names: list[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def short(name: str, longest: int = 40) -> str:
    """The end of a long name, which tells more than its start."""
    return name if len(name) <= longest else f"...{name[3 - longest :]}"


def shape_text(shape: Shape) -> str:
    """Such as 1x480x640x3, with ? for a size that is not known."""
    return "x".join("?" if size < 0 else str(size) for size in shape) or "scalar"


def bytes_text(amount: int) -> str:
    """Such as 512 B, 1.5 kB or 6.14 MB, by powers of 1000."""
    if amount < 1000:
        return f"{amount} B"
    if amount < 1_000_000:
        return f"{amount / 1e3:.1f} kB"
    return f"{amount / 1e6:.2f} MB"


def times(amount: int, noun: str) -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{amount} {noun}" + ("" if amount == 1 else "s")
