"""Measurements of privacy, one file each."""
