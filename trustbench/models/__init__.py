"""Architectures: each file is a plugin; files with an underscore are shared."""
