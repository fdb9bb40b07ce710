"""Structural causal models with additive noise: given or learnt functions on a given graph."""
