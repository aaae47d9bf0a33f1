"""What to write instead of an operator that a runtime does not know: the nearest form that it does."""

from collections.abc import Mapping
from dataclasses import dataclass

from sweep.export.versions import FIRST_RUNTIME, newest_version, release

FLEX = "CUSTOM:Flex"
CUSTOM = "CUSTOM:"


@dataclass(frozen=True)
class Spelling:
    """Another way to say nearly the same, and the (operator, version) pairs that it needs."""

    text: str
    needs: tuple[tuple[str, int], ...]


_HARD_SIGMOID = Spelling(
    "relu6(x + 3) / 6, as ADD with a fused RELU6 and MUL", (("ADD", 1), ("MUL", 1), ("RELU6", 1))
)
_HARD_SWISH = Spelling(
    "x * relu6(x + 3) / 6, as ADD with a fused RELU6 and two MUL, or the activation relu6",
    _HARD_SIGMOID.needs,
)
_NEAREST = Spelling(
    "RESIZE_NEAREST_NEIGHBOR version 1 (upsampling: nearest)", (("RESIZE_NEAREST_NEIGHBOR", 1),)
)
_CLAMP = Spelling("ADD, a fused RELU or RELU6, and SUB", (("ADD", 1), ("RELU", 1), ("RELU6", 1), ("SUB", 1)))

_SPELLINGS: Mapping[tuple[str, int], tuple[Spelling, ...]] = {
    ("DEPTHWISE_CONV_2D", 2): (
        Spelling("DEPTHWISE_CONV_2D version 1, without dilation", (("DEPTHWISE_CONV_2D", 1),)),
    ),
    ("GELU", 1): (
        Spelling("HARD_SWISH version 1 (activation: hard_swish)", (("HARD_SWISH", 1),)),
        _HARD_SWISH,
    ),
    ("HARD_SWISH", 1): (_HARD_SWISH,),
    ("LOGISTIC", 1): (_HARD_SIGMOID,),
    ("MAXIMUM", 1): (_CLAMP,),
    ("MINIMUM", 1): (_CLAMP,),
    ("RESIZE_BILINEAR", 3): (
        _NEAREST,
        Spelling("RESIZE_BILINEAR version 1, without half-pixel centres", (("RESIZE_BILINEAR", 1),)),
    ),
    ("RESIZE_NEAREST_NEIGHBOR", 1): (
        Spelling("RESIZE_BILINEAR version 1, without half-pixel centres", (("RESIZE_BILINEAR", 1),)),
    ),
    ("RESIZE_NEAREST_NEIGHBOR", 3): (
        Spelling(
            "RESIZE_NEAREST_NEIGHBOR version 1, without half-pixel centres and aligned corners",
            (("RESIZE_NEAREST_NEIGHBOR", 1),),
        ),
    ),
}

_INT8_SINCE_VERSION_2 = (
    *(
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "LOGISTIC",
        "MAXIMUM",
        "MEAN",
        "MINIMUM",
        "MUL",
        "PAD",
        "RELU",
    ),
    *("RELU6", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SUB"),
)

# The forms of operators that only quantised files and those with float16 weights have.
_QUANTISED: frozenset[tuple[str, int]] = frozenset(
    {
        *((operator, 2) for operator in _INT8_SINCE_VERSION_2),
        *(("CONV_2D", version) for version in (2, 3, 5)),
        *(("DEPTHWISE_CONV_2D", version) for version in (3, 4, 6)),
        *(("FULLY_CONNECTED", version) for version in (3, 4, 9, 12)),
        *(pair for pair in FIRST_RUNTIME if pair[0] in ("QUANTIZE", "DEQUANTIZE")),
    }
)


def nearest_spelling(operator: str, version: int, runtime: str) -> str:
    """What comes nearest to the operator among what a TFLite release, such as "2.5.0", knows."""
    if operator.startswith(FLEX):
        return "builtin operators: Flex ones need a runtime that is built with TensorFlow's"
    if operator.startswith(CUSTOM):
        return "builtin operators: a custom one needs a runtime that is built with it"
    if (operator, version) in _QUANTISED:
        return "the variant fp32, which has float operators only"
    for spelling in _SPELLINGS.get((operator, version), ()):
        if all(release(FIRST_RUNTIME[pair]) <= release(runtime) for pair in spelling.needs):
            return spelling.text
    known = newest_version(operator, runtime)
    return f"{operator} of version {known} at most" if known else "none: no operator there does the same"
