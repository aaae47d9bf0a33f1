"""Demo data: rendered rooms, streets and parks that stand in where no real pairs are at hand."""

from dataclasses import dataclass

DEMO_VERSION = 1  # raise it with every change of the rendered pixels
DEMO_TEST_FRAMES = 100  # pairs of the held-out split, unless asked otherwise


@dataclass(frozen=True)
class DemoSize:
    """How many pairs the demo data have for a search."""

    train: int = 1000
    validation: int = 200

    def __post_init__(self) -> None:
        if self.train < 1 or self.validation < 1:
            raise ValueError(f"demo data need at least one pair per split, found {self}")
