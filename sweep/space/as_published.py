"""What a published encoder's keys say beyond the published network: nothing, where they repeat it.

A key that changes nothing is left out of a candidate's canonical form, so that an architecture has one spelling.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from sweep.space.published import PUBLISHED, PublishedBlock, round_up

#: Keys of single blocks, which the encoder and each stage may change.
OF_BLOCKS: Final = ("kernel", "expansion", "squeeze_excite", "activation")


def repeats_network(kind: str, stages: int, key: str, value: Any) -> bool:
    """Whether every one of the first ``stages`` stages (the stem too) has ``value`` for ``key`` as published."""
    if key == "depth":  # a multiplier
        return bool(value == 1)
    network = PUBLISHED[kind]
    blocks = [block for stage in network.stages[:stages] for block in stage.blocks]
    stem_agrees = key != "activation" or network.stem_activation == value
    return stem_agrees and all(_has(block, key, value) for block in blocks)


def repeats_stage(kind: str, number: int, key: str, value: Any, everywhere: Mapping[str, Any]) -> bool:
    """Whether stage ``number`` (from 1) has ``value`` for ``key`` without being told.

    ``everywhere`` holds what the encoder says for all of its stages; None: as published.
    """
    if key == "width":  # a multiplier
        return bool(value == 1)
    network, index = PUBLISHED[kind], number - 1
    if index >= len(network.stages) or key not in (*OF_BLOCKS, "depth"):
        return False
    if key == "depth":
        depth, factor = network.published_depth(index), everywhere.get("depth")
        scaled = depth if factor is None or network.has_fixed_depth(index) else round_up(depth * factor)
        return bool(value == scaled)
    if everywhere.get(key) is not None:
        return bool(value == everywhere[key])
    return all(_has(block, key, value) for block in network.stages[index].blocks)


def _has(block: PublishedBlock, key: str, value: Any) -> bool:
    published = getattr(block, key)
    return bool((Fraction(value) if isinstance(published, Fraction) else value) == published)
