"""A small table of people with a sensitive attribute and one-hot columns, for unit tests."""

from trustbench.api.checks.toys import make_table

__all__ = ["make_table"]
