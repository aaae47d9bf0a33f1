"""What a trainer says of its epochs."""

from dataclasses import dataclass


class Diverged(ArithmeticError):
    """Training left the finite numbers; this candidate cannot work with this recipe.

    Attributes:
        epoch: the epoch, counted from 1.
        step: the step within the epoch, counted from 1; None if validation found it.
    """

    def __init__(self, epoch: int, step: int | None) -> None:
        where = f"in step {step}" if step is not None else "in validation"
        super().__init__(f"the loss is no longer a finite number in epoch {epoch}, {where}")
        self.epoch = epoch
        self.step = step

    def __reduce__(self) -> tuple[type["Diverged"], tuple[int, int | None]]:
        return Diverged, (self.epoch, self.step)  # crosses process borders whole


@dataclass(frozen=True)
class EpochReport:
    """One epoch's figures.

    Attributes:
        epoch: epochs done, this one included.
        train_loss: mean of the recipe's loss over the epoch's steps, a teacher's guidance included.
        si_rmse: partial si-RMSE on the validation split (see ``sweep.training.validation``), of int8 arithmetic
            in an epoch that was trained with it.
        seconds: wall time of training and validation, without the time that ``on_step`` held them up.
        learning_rate: of the epoch's last step.
        images_per_second: training throughput, without validation and without being held up.
        held_up_seconds: how long ``on_step`` let training and validation wait.
    """

    epoch: int
    train_loss: float
    si_rmse: float
    seconds: float
    learning_rate: float
    images_per_second: float
    held_up_seconds: float
