"""Given models: one adapter in each module, found by `opening.adapters`."""
