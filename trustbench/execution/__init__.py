"""One arm: plan, fit, deploy, measure; and the job around it that never raises."""
