"""Where the arms of a sweep run: processes of this machine (pool), or machines of others."""
