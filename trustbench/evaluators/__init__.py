"""Evaluators: one file per measurement, found by their YAML in conf/evaluator."""
