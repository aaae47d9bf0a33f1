"""The losses of a recipe and their weights."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self

from pydantic import Field, SerializeAsAny, model_validator

from sweep.space.parts import Frozen, OwnPart, Reading, defaulting, imported, maybe

if TYPE_CHECKING:
    from torch import Tensor

#: Every built-in loss, by the key of its weight.
WEIGHTS: Final = (
    "silog",
    "gradient",
    "l1",
    "l2",
    "si_rmse",
    "plain_gradient",
    "virtual_normal",
    "robust",
    "ssim",
)


class OwnLoss(OwnPart):
    """A loss from another package."""

    weight: float = Field(gt=0, le=100, description="Weight in the sum of losses.")

    @abstractmethod
    def __call__(self, prediction: "Tensor", target: "Tensor", valid: "Tensor") -> "Tensor":
        """A scalar, of (N, 1, H, W) logarithms of depth in metres and a bool mask of known pixels."""


OwnLossField = Annotated[SerializeAsAny[OwnLoss], imported(OwnLoss)]


def weight(of: str) -> Any:
    """A weight that is 0 where it is absent."""
    return defaulting(0.0, f"Weight of {of}.", ge=0, le=100)


class Loss(Frozen):
    """A weighted sum of losses on the log depth at the network's output stride."""

    silog: float = Field(
        default=0.0, ge=0, le=100, description="Weight of SILog, sqrt(mean e^2 - lambda mean(e)^2)."
    )
    silog_lambda: float = Field(default=0.85, ge=0, le=1, description="lambda of SILog; BTS uses 0.85.")
    gradient: float = Field(
        default=0.0, ge=0, le=100, description="Weight of multi-scale gradient matching (MiDaS)."
    )
    l1: float = Field(default=0.0, ge=0, le=100, description="Weight of the mean absolute log error.")

    l2: float = weight("the mean squared log error")
    si_rmse: float = weight("the challenge's si-RMSE, which is SILog with lambda 1")
    plain_gradient: float = weight("the gradient of the log error at one scale")
    virtual_normal: float = weight("virtual normals (Yin et al. 2019)")
    robust: float = weight("the general robust loss of the log error (Barron 2019)")
    robust_alpha: float = defaulting(1.0, "alpha of robust: 2 is L2-like, 1 Charbonnier-like.", ge=-10, le=2)
    robust_c: float = defaulting(2.0, "c of robust: where it turns from quadratic to its tail.", gt=0, le=100)
    ssim: float = weight("1 - SSIM of the log depth (Wang et al. 2004)")
    own: OwnLossField | None = maybe("A loss of your own, package.module:Class, added with its own weight.")

    constrained: ClassVar[Mapping[str, Reading]] = dict.fromkeys(WEIGHTS, bool)

    @model_validator(mode="after")
    def _some_loss(self) -> Self:
        if self.own is None and not any(getattr(self, name) for name in WEIGHTS):
            raise ValueError(f"{', '.join(WEIGHTS)} are all 0; at least one loss must have a weight")
        return self
