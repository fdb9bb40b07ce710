"""Training R replicates at once: one loop, two engines, five hooks."""
