"""Differential privacy: mechanisms, their composition, and the ledger of what a claim covers."""
