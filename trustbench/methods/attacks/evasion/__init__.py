"""Evasion attacks on all replicates and all points at once.

Every attack takes a `Forward` and per-replicate generators, never writes to a parameter's
`.grad`, and can only return inputs that its `ThreatModel` allows.
"""
