"""A stranger's table: from a frame and what is declared about it to a Problem."""
