"""Statistics of paired replicates: effects, series, multiplicity, verdicts."""
