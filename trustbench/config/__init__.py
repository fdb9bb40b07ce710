"""Hydra in, Arm out: everything that reads, checks and names a configuration."""
