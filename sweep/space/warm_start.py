"""Where a sweep's first trials may come from, beside its own ``start_from``."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from sweep.space.forms import Count, Explain, Form

Text = Annotated[str, Field(min_length=1, strict=True)]


class FromPreset(Form):
    """The candidates of a preset that comes with the package."""

    preset: Text = Field(description="The preset's name.")


class FromSweep(Form):
    """The best candidates of an earlier sweep in the same folder of sweeps; all of them are trained anew."""

    sweep: Text = Field(description="The sweep's name.")
    top: Count = Field(default=5, description="How many of its complete trials, the best first.")


class FromFile(Form):
    """Assignments in a YAML file: a list of entries as in start_from."""

    file: Text = Field(description="The file's path, from the working directory.")


class FromCandidates(Form):
    """Candidate files, each as this space spells it."""

    candidates: Text = Field(
        description="A candidate file, a folder of them, or a bundled one of either by name, such as mai2022."
    )


def _source(value: Any) -> str | None:
    keys = value if isinstance(value, dict) else ()
    return next((f"<{key}>" for key in ("preset", "sweep", "file", "candidates") if key in keys), None)


WarmStart = Annotated[
    Annotated[FromPreset, Tag("<preset>")]
    | Annotated[FromSweep, Tag("<sweep>")]
    | Annotated[FromFile, Tag("<file>")]
    | Annotated[FromCandidates, Tag("<candidates>")],
    Discriminator(_source),
    Explain("{preset: NAME}, {sweep: NAME, top: N}, {file: PATH} or {candidates: PATH}"),
]
