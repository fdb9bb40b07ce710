"""Training R replicates at once: one loop, two engines, and the hooks of the interventions."""
