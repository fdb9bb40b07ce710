"""Defaults of an audit, for a command that loads nothing heavy to print its help."""

DRAWS = 1000
"""Redrawn samples of the rows behind an interval."""
REFERENCES = 16
"""Models that a recipe fits for attacks on membership."""
