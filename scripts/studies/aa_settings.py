"""Data and sizes of the A/A experiment: small enough for hundreds of repetitions."""

SMALL = ["model.hidden=[24]", "protocol.replicates=16", "training.snapshots=2"]
TUNED = ["training=tuned", "training.epochs=12"]
MEMORISING = ["training=memorising", "training.epochs=40", "training.max_members=120"]
SETTINGS = {
    "silobank": ["dataset=silobank", "dataset.rows=1400", "dataset.minority=0.3"],
    "digits": ["dataset=digits"],
    "silobank, groups shuffled": [
        "dataset=silobank", "dataset.rows=1400", "dataset.minority=0.3"
    ],
}  # fmt: skip
# Evaluators at smaller size: a field of this name is never above this value.
CAPS = {
    "points": 24, "samples": 100, "patch_samples": 60, "permutations": 20, "queries": 20,
    "steps": 5, "restarts": 1, "random_draws": 2, "draws": 20, "repeats": 3, "min_group": 10,
    "min_cell": 5, "max_groups": 4, "iterations": 25, "trees": 20, "lime_points": 10,
    "lime_samples": [50, 100], "rows": 200,
}  # fmt: skip
# Points that are split into groups: 24 leave too few in a minority. KernelSHAP refuses fewer
# coalitions than the 64 pixels of digits need.
ENOUGH = {
    "autoattack": {"points": 80},
    "group_robustness": {"points": 80},
    "margin": {"points": 80},
    "robustness": {"points": 80},
    "kernel_shap": {"samples": 256},
}
