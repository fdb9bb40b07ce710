"""Evaluators: one file a measurement; found by their YAML in conf/evaluator."""
