"""The 5x5 table: which records are compared, and the result of each cell."""
