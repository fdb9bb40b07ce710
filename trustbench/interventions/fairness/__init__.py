"""Methods that improve fairness, one file each."""
