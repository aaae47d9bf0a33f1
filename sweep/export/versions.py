"""Which TensorFlow Lite first ran each operator version that the exporter writes (facts of its releases)."""

from collections.abc import Iterable, Mapping

FIRST_RUNTIME: Mapping[tuple[str, int], str] = {
    ("ADD", 1): "1.5.0",
    ("AVERAGE_POOL_2D", 1): "1.5.0",
    ("CONCATENATION", 1): "1.5.0",
    ("CONV_2D", 1): "1.5.0",
    ("DEPTHWISE_CONV_2D", 1): "1.5.0",
    ("DEPTHWISE_CONV_2D", 2): "1.12.0",
    ("DIV", 1): "1.6.0",
    ("EXP", 1): "1.7.0",
    ("HARD_SWISH", 1): "1.15.0",
    ("LOGISTIC", 1): "1.14.0",
    ("MAXIMUM", 1): "1.14.0",
    ("MEAN", 1): "1.6.0",
    ("MINIMUM", 1): "1.14.0",
    ("MUL", 1): "1.5.0",
    ("PAD", 1): "1.5.0",
    ("RELU", 1): "1.5.0",
    ("RELU6", 1): "1.5.0",
    ("RESHAPE", 1): "1.5.0",
    ("RESIZE_BILINEAR", 3): "2.2.0",
    ("RESIZE_NEAREST_NEIGHBOR", 1): "1.13.1",
    ("SUB", 1): "1.6.0",
}


def minimum_runtime(operators: Iterable[tuple[str, int]]) -> str:
    """The oldest TensorFlow Lite release that knows all these (builtin, version) pairs."""
    return max((FIRST_RUNTIME[operator] for operator in operators), key=release, default="1.5.0")


def release(version: str) -> tuple[int, ...]:
    """A version's numbers, for comparison."""
    return tuple(int(part) for part in version.split("."))
