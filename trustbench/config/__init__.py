"""From Hydra to an Arm: everything that reads, checks and names a configuration."""
