"""Differential privacy: mechanisms, how they compose, and the ledger of what a claim covers."""
