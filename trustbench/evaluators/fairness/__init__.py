"""Measurements of fairness, one file each."""
