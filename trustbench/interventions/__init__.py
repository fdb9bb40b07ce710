"""Interventions: one file per method, found by their YAML in conf/intervention."""
