"""Methods that improve robustness, one file each."""
