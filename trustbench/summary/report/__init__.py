"""The reports: one self-contained HTML file of a table with its evidence, or of an audit."""

from trustbench.summary.report.audit_page import audit_document
from trustbench.summary.report.audits_page import audits_document
from trustbench.summary.report.page import document

__all__ = ["audit_document", "audits_document", "document"]
