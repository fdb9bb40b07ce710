"""Methods that improve explainability, one file each."""
