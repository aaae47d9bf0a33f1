"""A recipe in words."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sweep.space.candidate import Recipe

_WEIGHTED: Final = frozenset({"loss", "distillation"})
_ALWAYS: Final = frozenset({"kind", "start"})
_SETTINGS: Final = {"silog_lambda": "silog", "robust_alpha": "robust", "robust_c": "robust"}


def recipe_words(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Each part of the recipe and what it says, such as ("optimizer", "adamw, weight_decay 0.001").

    What has a weight of 0 is left out with what belongs to it, and so is what has its default.
    """
    said = recipe.model_dump(mode="json")
    for name in _WEIGHTED & said.keys():
        said[name] = _switched_on(said[name])
    for name, value in said.items():
        yield name.replace("_", " "), _words(value)


def _switched_on(terms: Mapping[str, Any]) -> dict[str, Any]:
    """The weights that are not 0, and the settings of what has one."""
    return {
        name: value
        for name, value in terms.items()
        if name in _ALWAYS or terms.get(_SETTINGS.get(name, name))
    }


def _words(value: Any) -> str:
    if not isinstance(value, Mapping):
        return _plain(value)
    kind = [str(value["kind"])] if "kind" in value else []
    others = (_entry(name, entry) for name, entry in value.items() if name != "kind")
    return ", ".join([*kind, *filter(None, others)])


def _entry(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else ""
    if isinstance(value, Mapping):
        inner = _words(value)
        return f"{name} {inner}" if len(value) == 1 else f"{name} ({inner})"
    return f"{name} {_plain(value)}"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
