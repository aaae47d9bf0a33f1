"""What the command line's views look like on a screen of a given width."""

from io import StringIO

from rich.console import Console, RenderableType

from device_farm.cli.console import FILE_WIDTH


def console(width: int) -> Console:
    return Console(file=StringIO(), width=width, color_system=None, highlight=False, markup=False)


def screen(content: RenderableType, width: int = FILE_WIDTH) -> list[str]:
    """The lines, without the blanks at their ends."""
    shown = console(width)
    shown.print(content)
    return [line.rstrip() for line in shown.file.getvalue().splitlines()]
