"""The depth network: frame in, depth in millimetres out. Tensors are NCHW."""

import math
from typing import cast

from torch import Tensor, nn

from sweep.models.context import build_context
from sweep.models.decoder import build_decoder
from sweep.models.encoder import build_encoder
from sweep.models.layers import fill_bias, resize
from sweep.space.candidate import Architecture, ResizeTo

FRAME_SIZE = (480, 640)
MIN_DEPTH_M = 0.1
MAX_DEPTH_M = 100.0
# Where an untrained network starts: about the median distance of an everyday scene.
INITIAL_DEPTH_M = 4.0


class DepthNetwork(nn.Module):
    """An encoder, a context block, a decoder and a 1x1 head that predicts the logarithm of depth.

    ``inner_size``, ``decoded_size`` and ``output_size`` are (height, width): of the image that the encoder sees,
    of what the decoder makes of it, and of the prediction before it is resized to the frame.
    ``feature_channels`` is how many channels the head reads.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        output = architecture.output
        self.inner_size = (architecture.input.height, architecture.input.width)
        self.decoded_size = (self.inner_size[0] // output.stride, self.inner_size[1] // output.stride)
        self.output_size = (
            (output.inner.height, output.inner.width)
            if isinstance(output.inner, ResizeTo)
            else self.decoded_size
        )
        encoder = build_encoder(architecture.encoder)
        *skips, deepest = encoder.channels
        context = build_context(architecture.context, deepest)
        decoder = build_decoder(architecture.decoder, (*skips, context.out_channels), output.stride)
        self.feature_channels = decoder.out_channels
        self.encoder = cast(nn.Module, encoder)
        self.context = cast(nn.Module, context)
        self.decoder = cast(nn.Module, decoder)
        self.head = nn.Conv2d(self.feature_channels, 1, 1)
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

    def features(self, inner: Tensor) -> Tensor:
        """N3HW RGB 0..255 at ``inner_size`` to what the head reads: (N, feature_channels, *output_size)."""
        *skips, deepest = self.encoder(inner)
        decoded = self.decoder((*skips, self.context(deepest)))
        return resize(decoded, self.decoded_size, self.output_size, "bilinear")

    def predict(self, features: Tensor) -> Tensor:
        """What ``features`` gives to N1HW natural logarithm of depth in metres, of the same height and width.

        Not clamped: a loss on it has a gradient everywhere.
        """
        return cast(Tensor, self.head(features))

    def forward(self, inner: Tensor) -> Tensor:
        """N3HW RGB 0..255 at ``inner_size`` to N1HW natural logarithm of depth in metres at ``output_size``."""
        return self.predict(self.features(inner))

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
