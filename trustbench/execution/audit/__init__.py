"""Audits a given model: measures it on rows, with intervals over rows."""
