"""The miniature space with recipes of which some want a teacher, and that teacher."""

from pathlib import Path
from typing import Any, Literal

import yaml
from simulated_work import hashes_of, write_whole

from sweep.hashing import sha256_of
from sweep.space import RandomSuggest, load_space, parse_space
from sweep.space.chosen_teacher import ChosenTeacher

_MINIATURE = Path(__file__).parents[1] / "end_to_end" / "miniature.yaml"
_GUIDED = {"start": 0.5, "depth": 1.0, "features": 0.0, "pairwise": 0.0}
_RECIPE = {"distillation": {"choose": {"none": {}, "teacher": _GUIDED}}}

TEACHER_EPOCHS = 3
_CANDIDATE: dict[str, Any] = load_space(_MINIATURE).draw(RandomSuggest(99))[1].model_dump(mode="json")
_HASH = hashes_of(_CANDIDATE)["candidate"]


def taught_space_text(teacher: dict[str, Any], **changes: Any) -> str:
    """The miniature's text with a teacher section and recipes that choose."""
    data = yaml.safe_load(_MINIATURE.read_text())
    return yaml.safe_dump({**data, "recipe": {**data["recipe"], **_RECIPE}, "teacher": teacher, **changes})


TAUGHT_SPACE = parse_space(taught_space_text({"candidate": "teacher.yaml"}), "taught.yaml")


def simulated_teacher(kind: Literal["trained", "adopted"], folder: Path) -> ChosenTeacher:
    """Trained in the sweep, or before: then its checkpoint lies in ``folder``."""
    if kind == "trained":
        return ChosenTeacher("big", _CANDIDATE, _HASH, TEACHER_EPOCHS, stands_for="Swin")
    checkpoint = folder / "teacher.pt"
    write_whole(checkpoint, {"candidate": _HASH, "epoch": 30, "seed": 0})
    return ChosenTeacher(
        "big", _CANDIDATE, _HASH, 0, checkpoint=str(checkpoint), sha256=sha256_of(checkpoint)
    )
