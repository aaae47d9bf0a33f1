"""Judging: the challenge's metrics, its Final Score, and exported files held against a split's frames.

Nothing is imported here: ``metrics`` and ``score`` stay usable without an interpreter, a plotting library or
a data set.
"""
