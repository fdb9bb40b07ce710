"""The report: one HTML file that needs no network, with the table, every cell and its evidence."""

from trustbench.summary.report.page import document

__all__ = ["document"]
