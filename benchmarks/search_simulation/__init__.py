"""Simulated sweeps in virtual time: problems, the methods that search them, and what is said of the results."""
