"""Bounds on what a network can answer within a box of inputs, computed from its weights."""
