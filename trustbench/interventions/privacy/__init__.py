"""Methods that improve privacy, one file each."""
