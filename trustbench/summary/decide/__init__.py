"""Decisions: a policy, the gate that applies it, and the choice among arms."""
