"""The 5x5 table: which records are compared, and what each cell comes to."""
