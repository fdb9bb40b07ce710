"""Attacks, shared by evaluators and interventions: evasion and membership inference."""
