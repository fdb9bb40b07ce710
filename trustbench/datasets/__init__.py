"""Datasets: each file is a plugin that loads a Problem; files with an underscore are shared."""
