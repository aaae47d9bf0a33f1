"""Consoles that write into a string."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console, RenderableType

Show = Callable[..., str]


@pytest.fixture
def show() -> Show:
    """Renders something as a terminal of some width shows it, without colours and trailing blanks."""

    def render(renderable: RenderableType, width: int = 80, encoding: str = "utf-8") -> str:
        file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        console = Console(file=file, width=width, force_terminal=True, color_system=None, _environ={})
        console.print(renderable)
        file.seek(0)
        return "\n".join(line.rstrip() for line in file.read().split("\n")).rstrip("\n") + "\n"

    return render
