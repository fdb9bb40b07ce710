"""Model cards and datasheets, from stored records only."""
