"""Seeds of single decisions, made of the sweep's seed and what the decision is about."""

import numpy as np


def mixed_seed(*parts: int) -> int:
    """A seed from 0 to 2^32 - 1; other parts give an unrelated one (O'Neill's seed sequence, as in NumPy).

    Raises:
        ValueError: a part is negative.
    """
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
