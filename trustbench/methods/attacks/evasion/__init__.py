"""Evasion attacks on all replicates and all points at once.

Every attack takes a `Forward` and one generator per replicate, never writes to a parameter's
`.grad`, and returns only inputs that its `ThreatModel` allows.
"""
