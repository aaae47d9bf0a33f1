"""A small network's TFLite file, written by this project's exporter."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sweep.export.fusion import optimise
from sweep.export.lowering import lower
from sweep.export.onnx_export import module_to_onnx, read_graph
from sweep.export.writer import write_tflite


class SmallUNet(nn.Module):
    """Two scales with a skip connection that is computed early and read late."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.skip = nn.Conv2d(8, 6, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
        self.deep = nn.Conv2d(8, 6, 1)
        self.head = nn.Conv2d(6, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        shallow = F.relu(self.stem(image))
        skip = self.skip(shallow)
        deep = self.deep(F.relu6(self.depthwise(shallow)))
        upsampled = F.interpolate(deep, scale_factor=2, mode="bilinear", align_corners=False)
        return self.head(upsampled + skip)


@functools.cache
def unet() -> bytes:
    """A small U-Net, 1x32x48x3 in and 1x16x24x1 out, written by this project's exporter."""
    torch.manual_seed(0)
    onnx_model = module_to_onnx(SmallUNet().eval(), torch.zeros(1, 3, 32, 48))
    return write_tflite(lower(optimise(read_graph(onnx_model))), "a small U-Net")
