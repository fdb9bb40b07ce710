"""Interventions: one file a method; found by their YAML in conf/intervention."""
