"""Runs one arm: plan, fit, deploy, measure; and the job around it, which never raises."""
