"""Measurements of explainability, one file each."""
