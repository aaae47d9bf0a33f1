"""A network's forward pass as its int8 file computes it, for training that is aware of quantisation."""

import operator
from collections.abc import Callable
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from sweep.models import DepthNetwork
from sweep.models.collapse import CollapsibleConv
from sweep.training.fake_quantization import (
    FakeQuantize,
    FakeQuantizedConv,
    fake_quantized_sigmoid,
    fake_quantized_swish,
)

# In the file these need no rounding of their own: a convolution or a sum is rounded after them.
_FUSED_ACTIVATIONS: Final = (nn.ReLU, nn.ReLU6, F.relu, F.relu6)
# Left alone: the file rounds the head's output, the logarithm of the depth, to 256 steps. Losses that look at
# neighbouring pixels would take that for noise, and no weight could learn to avoid it.
_FLOAT_MODULES: Final = ("head",)
_CONVOLUTIONS: Final = (nn.Conv2d, CollapsibleConv)
_PRODUCTS: Final = (operator.mul, torch.mul)
# Their values have a fixed grid of codes in the file, within a swish too.
_SIGMOIDS: Final = (nn.Sigmoid, F.sigmoid, torch.sigmoid, "sigmoid")
_SWISHES: Final = (nn.SiLU, F.silu)


class Int8Simulation(nn.Module):
    """Computes what ``network`` computes, on int8 numbers, with the network's own modules and parameters.

    Rounded are the weights of all convolutions but the head's (of collapsible ones those that they collapse to),
    the inner image (to whole numbers, the steps of a photo), and every tensor that the int8 file holds: after
    convolutions with their batch normalisation and fused activation, other activations, sums, products, means,
    concatenations and bilinear resizes. Nearest resizes and products with a number copy codes; zero is always one.

    The network stays as it is: calling it computes in float, and so does the network when it is exported. Only
    ``ranges``, the running ranges of the feature maps, belong to the simulation; they are its state.
    """

    def __init__(self, network: DepthNetwork) -> None:
        super().__init__()
        graph, modules = _Tracer().trace(network), dict(network.named_modules())
        rounded = [node for node in graph.nodes if _is_rounded(node, modules)]
        _round_sigmoids(graph, modules)
        self.ranges = nn.ModuleDict({node.name: FakeQuantize() for node in rounded})
        for node in rounded:
            _insert_after(graph, node, graph.call_module, f"ranges.{node.name}")
        (inner,) = graph.find_nodes(op="placeholder")
        _insert_after(graph, inner, graph.call_function, torch.round)
        convs = {
            name: FakeQuantizedConv(module)
            for name, module in modules.items()
            if isinstance(module, _CONVOLUTIONS) and name not in _FLOAT_MODULES
        }
        ranges = {f"ranges.{name}": module for name, module in self.ranges.items()}
        self.simulated = fx.GraphModule({**modules, **convs, **ranges}, graph)
        self.ranges.to(network.head.weight.device)

    def forward(self, inner: Tensor) -> Tensor:
        """Like the network's: N3HW RGB 0..255 float32 to N1HW natural logarithm of depth in metres.

        All of it in float32, within an autocast too: bfloat16 has fewer digits than a product of two codes.
        """
        with torch.autocast(inner.device.type, enabled=False):
            log_depth: Tensor = self.simulated(inner)
        return log_depth


class _Tracer(fx.Tracer):
    """Looks into all modules but torch's own and collapsible convolutions."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, CollapsibleConv) or super().is_leaf_module(m, module_qualified_name)


def _is_rounded(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether the int8 file rounds the node's output, and no fused activation comes before that."""
    readers = [_operation(user, modules) for user in node.users]
    if readers and all(reader in _FUSED_ACTIVATIONS for reader in readers):
        return False
    operation = _operation(node, modules)
    if operation in _CONVOLUTIONS:
        return nn.BatchNorm2d not in readers and node.target not in _FLOAT_MODULES
    if operation is F.interpolate:
        return bool(node.kwargs["mode"] != "nearest")
    if operation in _PRODUCTS:
        return all(isinstance(factor, fx.Node) for factor in node.args)
    return operation in _ROUNDED


_ROUNDED: Final = (
    nn.BatchNorm2d,
    *(nn.Hardswish, F.hardswish),
    *_SWISHES,
    *_FUSED_ACTIVATIONS,
    *(operator.add, operator.sub, torch.add, torch.sub),
    torch.cat,
    *(torch.mean, "mean", nn.AdaptiveAvgPool2d, F.adaptive_avg_pool2d),
)


def _round_sigmoids(graph: fx.Graph, modules: dict[str, nn.Module]) -> None:
    """Let every logistic function, and that within every swish, give rounded numbers."""
    for node in graph.nodes:
        operation = _operation(node, modules)
        if operation in _SIGMOIDS or operation in _SWISHES:
            node.op, node.args, node.kwargs = "call_function", node.args[:1], {}
            node.target = fake_quantized_swish if operation in _SWISHES else fake_quantized_sigmoid


def _operation(node: fx.Node, modules: dict[str, nn.Module]) -> object:
    """What the node does: a module's class, a function, or a method's name; None for input and output."""
    if node.op == "call_module":
        return type(modules[str(node.target)])
    return node.target if node.op in ("call_function", "call_method") else None


def _insert_after(
    graph: fx.Graph, node: fx.Node, call: Callable[..., fx.Node], target: Callable[..., Any] | str
) -> None:
    """Let all who read ``node`` read ``target(node)`` instead."""
    with graph.inserting_after(node):
        rounded = call(target, (node,))
    node.replace_all_uses_with(rounded, delete_user_cb=lambda user: user is not rounded)
