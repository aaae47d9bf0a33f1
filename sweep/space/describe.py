"""What `sweep check` prints. Presentation only."""

import yaml
from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from sweep.space.duration import format_duration
from sweep.space.exports import ExportChoices
from sweep.space.space import Space
from sweep.space.suggest import RandomSuggest


def describe(space: Space, seed: int = 0) -> RenderableType:
    """The space's parameters, limits and number of architectures, and one candidate drawn with ``seed``."""
    return Group(
        Text(f"{space.name} ({space.hash})", style="bold"),
        *([Text(space.document.description)] if space.document.description else []),
        Text(),
        _parameter_table(space),
        Text(),
        Text(_count(space)),
        Text(_limits(space)),
        *([] if space.document.exports.is_plain else [Text(_exports(space.document.exports))]),
        Text(f"A candidate (seed {seed}):", style="bold"),
        Syntax(sampled_candidate(space, seed), "yaml", background_color="default"),
    )


def sampled_candidate(space: Space, seed: int) -> str:
    """One possible candidate as YAML."""
    _, candidate = space.draw(RandomSuggest(seed))
    return yaml.safe_dump(candidate.model_dump(mode="json"), sort_keys=False)


def _parameter_table(space: Space) -> Table:
    table = Table("Parameter", "Values", "Only with")
    for parameter in space.parameters():
        condition = str(parameter.condition) if parameter.condition else ""
        table.add_row(Text(parameter.path), Text(str(parameter.domain)), Text(condition))
    return table


def _count(space: Space) -> str:
    number = space.architectures()
    if number is None:
        return "Infinitely many architectures: the architecture holds a range of numbers."
    text = f"{number:,} architecture{'' if number == 1 else 's'}"
    analysis = space.architecture_analysis
    impossible = int(analysis.impossible)
    if not impossible:
        return f"{text}; every combination is possible."
    return f"{text}; {impossible:,} further combinations are impossible, such as: {analysis.reasons[0]}."


def _limits(space: Space) -> str:
    budget, rungs, target = space.document.budget, space.document.rungs, space.document.target
    setting = space.document.exports.settings[0]
    time = f", at most {format_duration(budget.time_s)}" if budget.time_s else ""
    compared = f", compared after {', '.join(map(str, rungs.epochs))}" if rungs else ""
    labels = ", ".join(f"{key}={value}" for key, value in target.labels.items()) or "any device"
    return (
        f"{budget.trials} trials of up to {budget.max_epochs} epochs{compared}{time}; measured on {labels}, "
        f"{target.runtime or 'its default runtime'}, {setting.threads} thread"
        f"{'' if setting.threads == 1 else 's'}, delegate {setting.delegate}."
    )


def _exports(tried: ExportChoices) -> str:
    lists = {
        "variants": tried.variants,
        "threads": tried.threads,
        "delegates": tried.delegates,
        "output upsampling": tried.output_upsampling or ("the candidate's own",),
    }
    spelled = "; ".join(f"{name} {', '.join(map(str, values))}" for name, values in lists.items())
    number = tried.combinations
    noun = "combination" if number == 1 else "combinations, the best of which is its score"
    return f"Each training is exported and run in {number} {noun}: {spelled}."
