"""The fixtures of the end-to-end tests."""

from tests.e2e.conftest import empty_database, outside, spawn, tb

__all__ = ["empty_database", "outside", "spawn", "tb"]
