"""Runs the arms of a sweep: in processes of this machine (pool), or on other machines."""
