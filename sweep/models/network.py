"""The depth network: frame in, depth in millimetres out. Tensors are NCHW."""

import math
from typing import cast

from torch import Tensor, nn

from sweep.models.decoder import build_decoder
from sweep.models.encoder import MobileNetV3Encoder
from sweep.models.layers import fill_bias, resize
from sweep.space.candidate import Architecture

FRAME_SIZE = (480, 640)
MIN_DEPTH_M = 0.1
MAX_DEPTH_M = 100.0
# Where an untrained network starts: about the median distance of an everyday scene.
INITIAL_DEPTH_M = 4.0


class DepthNetwork(nn.Module):
    """An encoder, a decoder and a 1x1 head that predicts the logarithm of depth.

    ``inner_size`` and ``output_size`` are (height, width): of the image that the encoder sees, and of the
    prediction before it is resized to the frame.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.inner_size = (architecture.input.height, architecture.input.width)
        stride = architecture.output.stride
        self.output_size = (self.inner_size[0] // stride, self.inner_size[1] // stride)
        self.encoder = MobileNetV3Encoder(architecture.encoder)
        decoder = build_decoder(architecture.decoder, self.encoder.channels, stride)
        self.decoder = cast(nn.Module, decoder)
        self.head = nn.Conv2d(decoder.out_channels, 1, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        fill_bias(self.head, math.log(INITIAL_DEPTH_M))

    def resize_frames(self, frames: Tensor) -> Tensor:
        """N3HW RGB 0..255 of any size to ``inner_size``, as the exported graph does with a 480x640 frame.

        With ``resize: pooled`` a 480x640 frame is first averaged over 2x2 pixels. Frames of any other size
        are taken as averaged already: training images at 240x320 were made that way.
        """
        return self._to_inner(frames, (frames.shape[2], frames.shape[3]))

    def _to_inner(self, frames: Tensor, size: tuple[int, int]) -> Tensor:
        if self.architecture.input.resize == "pooled" and size == FRAME_SIZE:
            # Halving with half-pixel centres is the mean of 2x2 pixels, and far faster in TFLite than pooling.
            half = (size[0] // 2, size[1] // 2)
            frames, size = resize(frames, size, half, "bilinear"), half
        return resize(frames, size, self.inner_size, "bilinear")

    def forward(self, inner: Tensor) -> Tensor:
        """N3HW RGB 0..255 at ``inner_size`` to N1HW natural logarithm of depth in metres at ``output_size``.

        Not clamped: a loss on it has a gradient everywhere.
        """
        return cast(Tensor, self.head(self.decoder(self.encoder(inner))))

    def depth_mm(self, frames: Tensor) -> Tensor:
        """N3x480x640 RGB 0..255 to N1x480x640 depth in millimetres, 100 to 100,000; the export's truth.

        The exponential is taken before the resize: at 60x80 it is 64 times cheaper than at 480x640.
        """
        log_depth = self(self._to_inner(frames, FRAME_SIZE))
        low_mm = 1000 * log_depth.clamp(math.log(MIN_DEPTH_M), math.log(MAX_DEPTH_M)).exp()
        return resize(low_mm, self.output_size, FRAME_SIZE, self.architecture.output.upsampling)


def build_network(architecture: Architecture) -> DepthNetwork:
    """The network of that architecture, freshly initialised from torch's global random generator."""
    return DepthNetwork(architecture)
