"""What the exporter cannot lower is refused by name, never approximated."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from export_support import lower_module
from torch import Tensor, nn

from sweep.export import ExportError, UnsupportedOperatorError


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


REFUSED: dict[str, tuple[nn.Module, str]] = {
    "transposed-convolution": (nn.ConvTranspose2d(4, 4, 2, 2), "ONNX operator ConvTranspose"),
    "maximum-pool": (nn.MaxPool2d(2), "ONNX operator MaxPool"),
    "softplus": (nn.Softplus(), "ONNX operator Softplus"),
    "groups": (nn.Conv2d(4, 4, 1, groups=2), r"Conv \(node .*\) has group=2 over 4 channels"),
    "align-corners": (
        Function(lambda x: F.interpolate(x, size=(9, 9), mode="bilinear", align_corners=True)),
        "Resize .* coordinates=align_corners",
    ),
    "bicubic": (Function(lambda x: F.interpolate(x, size=(9, 9), mode="bicubic")), "Resize .* mode=cubic"),
    "uneven-scale": (
        Function(lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear")),
        "Resize .* has scales",
    ),
    "pool-with-padding": (nn.AvgPool2d(2, padding=1), "AveragePool .* no padding"),
    "pool-with-ceil-mode": (nn.AvgPool2d(3, 2, ceil_mode=True), "AveragePool .* no ceil_mode"),
    "mean-over-channels": (Function(lambda x: x.mean(1, keepdim=True)), "ReduceMean .* height and width"),
    "mean-without-dimensions": (Function(lambda x: x.mean((2, 3))), "ReduceMean .* keepdims=0"),
    "clip-without-minimum": (Function(lambda x: torch.clamp(x, max=3.0)), "Clip .* has bounds"),
    "reflecting-pad": (nn.ReflectionPad2d(1), "Pad .* constant zero padding"),
    "padding-with-ones": (nn.ConstantPad2d(1, 1.0), "Pad .* constant zero padding"),
    "padding-channels": (Function(lambda x: F.pad(x, (0, 0, 0, 0, 1, 1))), "Pad .* height and width"),
    "three-dimensions": (Function(lambda x: torch.exp(x[0]) + 1), "supported"),
    "transpose": (Function(lambda x: x.permute(0, 1, 3, 2)), "ONNX operator Transpose"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_form_outside_the_closed_set_is_refused_by_name(name: str) -> None:
    module, message = REFUSED[name]
    with pytest.raises(UnsupportedOperatorError, match=message):
        lower_module(module, torch.rand(1, 4, 7, 7))


def test_the_refusal_lists_what_is_supported() -> None:
    with pytest.raises(ExportError, match=r"supported are Add, AveragePool, Clip, Concat, Conv,"):
        lower_module(nn.MaxPool2d(2), torch.rand(1, 4, 7, 7))
