"""Measurements of robustness, one file each."""
