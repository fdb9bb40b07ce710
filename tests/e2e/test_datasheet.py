"""A finished sweep on a user's own data set has a datasheet."""

import re

import yaml

from trustbench.store.labels import label
from trustbench.store.records import Store


def test_the_datasheet_of_a_sweep_says_what_its_records_do(outside, tb):
    done = tb(
        "run", "-m", *outside.args, "intervention=none,balanced_weights",
        "evaluator=[utility,fairness]",
    )  # fmt: skip
    assert done.code == 0, done.err
    done = tb("datasheet")
    assert done.code == 0, done.err
    assert yaml.safe_load(done.out.split("---\n")[1]) == {
        "license": "other",
        "license_details": "none",
        "pretty_name": "toy",
        "tags": ["trustbench", "synthetic"],
        "size_categories": ["n<1K"],
    }
    records = {label(r.arm): r for r in Store(outside.outputs).records()}
    bare = records["none"]
    assert {f"`{r.id}`" for r in records.values()} <= set(re.findall(r"`\w+`", done.out))
    for group, n in bare.problem.group_sizes.items():
        assert f"| g | {group} | {n} | `{bare.id}` |" in done.out
        assert re.search(rf"\| {group} \| {n} \| fairness/accuracy \| 0\.\d+ \[", done.out)
    sizes = bare.problem.sizes
    splits = ("train", "validation", "calibration", "test", "members")
    assert " | ".join(str(sizes[k]) for k in splits) in done.out
