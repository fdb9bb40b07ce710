"""The words that mean no and yes, wherever classes or levels are compared."""

FALSE_WORDS = frozenset({"no", "n", "false", "0", "f"})
TRUE_WORDS = frozenset({"yes", "y", "true", "1", "t", "j"})
