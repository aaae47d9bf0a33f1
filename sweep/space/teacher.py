"""The ``teacher`` section of a space file: who guides recipes with ``distillation``."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from sweep.space.forms import Count, Explain, Form, Group, Line, fail

Text = Annotated[str, Field(min_length=1, strict=True), Explain("a text")]

TEACHER = "teacher"
"""The kind of distillation that needs a teacher."""


class TeacherSection(Form):
    """A teacher: a candidate that is trained first in the same sweep, or one that was trained before."""

    candidate: Text = Field(description="The teacher's candidate file, relative to this file.")
    epochs: Count | None = Field(
        default=None, description="Epochs of its training; absent: budget.max_epochs."
    )
    checkpoint: Text | None = Field(
        default=None, description="Its trained weights, relative to this file; absent: it is trained first."
    )
    name: Text | None = Field(default=None, description="What it is called; absent: its candidate's name.")
    stands_for: Text | None = Field(
        default=None, description="What it is a substitute for, such as Swin; absent: it is none."
    )

    @model_validator(mode="after")
    def _trained_once(self) -> Self:
        if self.checkpoint is not None and self.epochs is not None:
            fail(Line(("epochs",), str(self.epochs), "nothing beside checkpoint: it is trained already"))
        return self


def check_teacher(recipe: Group, teacher: TeacherSection | None) -> None:
    """Raise the error of a recipe that may ask for a teacher in a space without one."""
    distillation = recipe.model_dump(by_alias=True, exclude_unset=True).get("distillation")
    if teacher is None and _may_be_taught(distillation):
        allowed = f"{{candidate: PATH}}, for recipe.distillation asks for kind: {TEACHER}"
        fail(Line(("teacher",), "nothing", allowed))


def _may_be_taught(form: object) -> bool:
    """Whether a form of ``distillation`` can become one of kind teacher."""
    if not isinstance(form, Mapping):
        return False
    return form.get("kind") == TEACHER or TEACHER in form.get("choose", ())
