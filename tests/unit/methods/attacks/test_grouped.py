"""AUCs within many groupings at once against scikit-learn's, one group at a time."""

import numpy as np
from sklearn.metrics import roc_auc_score

from trustbench.methods.attacks import membership as mia


def test_every_group_of_every_grouping_is_scikit_learn_s():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 120)).round(1)  # rounded: many ties
    member, usable = rng.random((3, 120)) < 0.5, rng.random((3, 120)) < 0.9
    scores = mia.Scores(values, usable, 3, "pooled")
    groups = rng.integers(5, size=(4, 120))  # group 4 counts nowhere
    found = mia.group_aucs(scores, member, groups, 4)
    for k, r, g in np.ndindex(found.shape):
        rows = usable[r] & (groups[k] == g)
        np.testing.assert_allclose(found[k, r, g], roc_auc_score(member[r, rows], values[r, rows]))


def test_a_group_of_one_side_has_no_auc():
    scores = mia.Scores(np.arange(4.0)[None], np.ones((1, 4), dtype=bool), 3, "pooled")
    member = np.array([[True, True, True, False]])
    found = mia.group_aucs(scores, member, np.array([[0, 0, 1, 1]]), 2)[0, 0]
    assert np.isnan(found[0])
    assert found[1] == 0
