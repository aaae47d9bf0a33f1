"""The Raspberry Pi firmware's word about power and heat, in words.

Bits 0 to 3 say what holds now, bits 16 to 19 what occurred at any time since the board was started:
https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
"""

FLAGS = {
    "under_voltage": "under-voltage",
    "frequency_capped": "frequency capped",
    "throttled": "throttled",
    "soft_temperature_limit": "soft temperature limit",
}
"""Names as in the evidence of a measurement, in the order of their bits, and how people say them."""

_OCCURRED_SHIFT = 16


def flags_now(word: str) -> tuple[str, ...]:
    """What holds now, in words. Raises ValueError unless ``word`` is hexadecimal, such as ``0x50005``."""
    return _flags(int(word, 16))


def flags_since_start(word: str) -> tuple[str, ...]:
    """What occurred since the board was started, in words. Raises ValueError as ``flags_now`` does."""
    return _flags(int(word, 16) >> _OCCURRED_SHIFT)


def _flags(bits: int) -> tuple[str, ...]:
    return tuple(words for bit, words in enumerate(FLAGS.values()) if bits >> bit & 1)
