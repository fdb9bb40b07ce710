"""Methods that improve uncertainty quantification, one file each."""
