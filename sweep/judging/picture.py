"""A picture for people: the image, the true depth and the predicted depth side by side."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

_DOTS_PER_INCH: Final = 100
_SIZE_INCHES: Final = (15.6, 4.0)
_UNKNOWN: Final = "black"


def qualitative_picture(
    rgb: npt.NDArray[np.uint8], truth_mm: npt.NDArray[Any], prediction_mm: npt.NDArray[Any]
) -> npt.NDArray[np.uint8]:
    """Draw image | truth | prediction in one colour scale of log depth, with a legend in metres.

    Near is bright, far is dark (matplotlib's perceptually uniform ``plasma``, reversed; it holds no black).
    The scale spans the true depths; unknown pixels are black. The prediction is drawn as it is, not aligned
    in scale: si-RMSE forgives a wrong scale, the eye should still see it.

    Args:
        rgb: (H, W, 3).
        truth_mm: (H, W), millimetres, 0 or 1: unknown.
        prediction_mm: (H, W), millimetres.

    Returns:
        (400, 1560, 3) RGB.

    Raises:
        ValueError: the shapes do not belong together.
    """
    if rgb.shape != (*truth_mm.shape, 3) or prediction_mm.shape != truth_mm.shape:
        raise ValueError(
            f"rgb {rgb.shape}, truth {truth_mm.shape} and prediction {prediction_mm.shape} are no frame; "
            "they must be (H, W, 3), (H, W) and (H, W)"
        )
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib leaves its methods untyped
    left, middle, right = figure.subplots(1, 3)
    scale = _scale(truth_mm)
    _draw(left, "image", rgb)
    _draw(middle, "truth", np.where(truth_mm > 1, truth_mm / 1000.0, np.nan), scale)
    _draw(right, "prediction", np.maximum(prediction_mm, 1.0) / 1000.0, scale)
    legend = figure.colorbar(right.images[0], ax=right, label="depth in metres", extend="both", pad=0.02)
    legend.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    legend.ax.yaxis.set_major_formatter(FuncFormatter(lambda metres, _: f"{metres:g}"))
    legend.ax.yaxis.set_minor_locator(NullLocator())
    legend.ax.yaxis.set_minor_formatter(NullFormatter())
    legend.ax.invert_yaxis()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _scale(truth_mm: npt.NDArray[Any]) -> LogNorm:
    """From the nearest to the farthest true depth, without the outermost half percent at each end."""
    known = truth_mm[truth_mm > 1]
    if known.size == 0:
        return LogNorm(0.4, 50.0)
    near, far = np.percentile(known, (0.5, 99.5)) / 1000.0
    return LogNorm(near, max(far, 1.5 * near))


def _draw(axes: Axes, title: str, picture: Any, scale: LogNorm | None = None) -> None:
    axes.imshow(
        picture, norm=scale, cmap=colormaps["plasma_r"].with_extremes(bad=_UNKNOWN), interpolation="nearest"
    )
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()
