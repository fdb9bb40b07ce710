"""Measurements of uncertainty quantification, one file each."""
