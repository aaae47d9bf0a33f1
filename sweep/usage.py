"""What a person, or a program of theirs, did wrong in asking for something."""


class UsageError(Exception):
    """A wrong call; the message names what was found and what is allowed, by the command line's names."""
