"""The report: one self-contained HTML file with the table, every cell and its evidence."""

from trustbench.summary.report.page import document

__all__ = ["document"]
