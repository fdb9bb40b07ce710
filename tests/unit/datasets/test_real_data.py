"""Every loader on the real files: rows, groups and splits."""

import re
import time

import numpy as np
import pytest

from tests.unit.datasets.real_data import (
    DATASETS,
    TABLES,
    group_sizes,
    loader,
)
from trustbench.contracts import SPLITS
from trustbench.contracts.seeding import Streams
from trustbench.datasets.acs_income import ACSIncome
from trustbench.datasets.adult import Adult
from trustbench.datasets.compas import Compas
from trustbench.datasets.digits import Digits
from trustbench.datasets.german import German
from trustbench.datasets.mnist import Mnist

# --- every dataset ----------------------------------------------------------------------------


@pytest.fixture
def load(shared_data):
    return loader(shared_data)


@pytest.mark.parametrize("name", DATASETS)
def test_splits_are_disjoint_and_hold_every_row(load, name):
    problem = load(name)
    rows = np.concatenate([problem.splits[s] for s in SPLITS])
    assert sorted(rows.tolist()) == list(range(len(problem.X)))
    assert (problem.X.dtype, problem.y.dtype, problem.group.dtype) == (
        np.float32,
        np.int64,
        np.int64,
    )


@pytest.mark.parametrize("name", DATASETS)
def test_features_cover_every_column_exactly_once(load, name):
    problem = load(name)
    columns = sorted(c for f in problem.features for c in f.columns)
    assert columns == list(range(problem.n_features))
    assert len({f.name for f in problem.features}) == len(problem.features)


@pytest.mark.parametrize("name", DATASETS)
def test_fingerprints_depend_on_the_seed_alone(load, shared_data, name):
    problem = load(name)
    again = DATASETS[name].load(shared_data, Streams(0))
    assert again.fingerprint == problem.fingerprint
    assert load(name, seed=1).fingerprint != problem.fingerprint


@pytest.mark.parametrize("name", DATASETS)
def test_every_split_is_stratified_by_class(load, name):
    problem = load(name)
    share = np.bincount(problem.rows("test")[1]) / len(problem.splits["test"])
    for split in ("validation", "calibration"):
        y = problem.rows(split)[1]
        assert np.abs(np.bincount(y) / len(y) - share).max() < 0.03


@pytest.mark.parametrize("name", DATASETS)
def test_bounds_hold_every_input_of_the_pool_and_the_test_set(load, name):
    problem = load(name)
    for split in ("train", "test"):
        X = problem.rows(split)[0].reshape(len(problem.splits[split]), -1)
        inside = np.clip(X, problem.per_column("lower"), problem.per_column("upper"))
        np.testing.assert_allclose(inside, X, atol=1e-6)


@pytest.mark.parametrize("name", DATASETS)
def test_cards_say_what_a_reader_must_know(load, name):
    card = load(name).card
    assert min(map(len, (card.description, card.known_harms, card.licence, card.reference))) > 2
    assert card.synthetic == (name == "silobank")


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_scaled_on_the_pool_with_one_hot_blocks(load, name):
    problem = load(name)
    pool = problem.rows("train")[0]
    assert problem.binary
    for feature in problem.features:
        block = problem.X[:, feature.columns]
        if feature.kind == "categorical":
            assert (block.sum(1) == 1).all()
            assert len(feature.levels) == len(feature.columns)
            assert feature.scale == 0
        else:
            assert pool[:, feature.columns].mean() == pytest.approx(0, abs=1e-3)
            assert pool[:, feature.columns].std() == pytest.approx(1, abs=1e-3)
    assert (problem.per_column("scale") * problem.per_column("mutable")).any()


@pytest.mark.parametrize("name", TABLES)
def test_the_sensitive_attribute_is_among_the_inputs_and_immutable(load, name):
    problem = load(name)
    named = {"german": "age", "german_sex": "personal_status_sex"}.get(name, problem.group_name)
    feature = next(f for f in problem.features if f.name == named)
    assert not feature.mutable


# --- known sizes -------------------------------------------------------------------------------


def test_adult_has_its_48842_rows_and_the_official_test_set(load):
    problem = load("adult")
    assert len(problem.X) == 48_842
    sizes = {s: len(problem.splits[s]) for s in SPLITS}
    assert sizes == {"train": 25_561, "validation": 3000, "calibration": 4000, "test": 16_281}
    assert group_sizes(problem) == {"Male": 32_650, "Female": 16_192}
    assert problem.y.sum() == 7841 + 3846
    assert problem.rows("test")[1].sum() == 3846


def test_adult_keeps_unknown_as_a_level_and_drops_the_weight(load):
    features = {f.name: f for f in load("adult").features}
    assert {"fnlwgt", "education", "income"}.isdisjoint(features)
    unknown = {
        name: int(load("adult").X[:, f.columns[f.levels.index("unknown")]].sum())
        for name, f in features.items()
        if "unknown" in f.levels
    }
    assert unknown == {"workclass": 2799, "occupation": 2809, "native-country": 857}
    assert load("adult").card.description.endswith(
        "a level of their own, 'unknown': workclass 2,799, occupation 2,809, native-country 857."
    )


def test_adult_by_race(load):
    assert group_sizes(load("adult_race")) == {
        "White": 41_762,
        "Black": 4685,
        "Asian-Pac-Islander": 1519,
        "Amer-Indian-Eskimo": 470,
        "Other": 406,
    }


def test_adult_subsamples_keep_the_shares(shared_data, load):
    small = Adult(subsample=5000).load(shared_data, Streams(0))
    assert len(small.X) == 5000
    assert small.n_features == load("adult").n_features
    assert len(small.splits["test"]) == round(5000 * 16_281 / 48_842)
    assert small.y.mean() == pytest.approx(load("adult").y.mean(), abs=0.01)
    assert small.group.mean() == pytest.approx(load("adult").group.mean(), abs=0.01)


def test_adult_loads_within_three_seconds(shared_data):
    started = time.process_time()
    Adult().load(shared_data, Streams(2))
    assert time.process_time() - started < 3


def test_compas_has_propublicas_6172_rows_and_a_favourable_class_1(load, shared_data):
    problem = load("compas")
    assert len(problem.X) == 6172
    assert group_sizes(problem) == {"African-American": 3175, "Caucasian": 2103, "Other": 894}
    assert problem.classes[1] == "not re-arrested"
    assert problem.y.sum() == 3363
    assert problem.card.description.startswith("6,172 of 7,214 defendants")
    assert problem.card.description.endswith(
        "Counted as Other: Hispanic 509, Other 343, Asian 31, Native American 11."
    )
    by_sex = Compas(sensitive="sex").load(shared_data, Streams(0))
    assert "Counted as" not in by_sex.card.description
    assert group_sizes(by_sex) == {"Male": 4997, "Female": 1175}


def test_german_has_its_1000_rows(load, shared_data):
    problem = load("german")
    assert len(problem.X) == 1000
    assert group_sizes(problem) == {"over 25": 810, "25 or younger": 190}
    assert problem.y.sum() == 700
    by_sex = German(sensitive="sex").load(shared_data, Streams(0))
    assert group_sizes(by_sex) == {"male": 690, "female": 310}
    assert by_sex.card.description.endswith(
        "Counted as male: single (A93) 548, married or widowed (A94) 92, divorced or separated "
        "(A91) 50."
    )


def test_acs_income_has_its_332900_rows(shared_data):
    problem = ACSIncome(subsample=None).load(shared_data, Streams(0))
    assert len(problem.X) == 332_900
    assert group_sizes(problem) == {"Male": 173_263, "Female": 159_637}
    assert problem.y.sum() == 122_863
    levels = {f.name: len(f.levels) for f in problem.features if f.levels}
    assert (levels["OCCP"], levels["POBP"], levels["RAC1P"]) == (25, 8, 9)


def test_acs_income_takes_40000_rows_unless_told_otherwise(shared_data):
    problem = ACSIncome(sensitive="RAC1P").load(shared_data, Streams(0))
    assert len(problem.X) == 40_000
    assert "40,000" in problem.card.description
    assert problem.groups == ("White", "Black", "Asian", "Other")
    merged = re.search(r"Counted as Other: (.*)\.$", problem.card.description)[1]
    counts = [int(n.replace(",", "")) for n in re.findall(r" ([\d,]+)(?:, |$)", merged)]
    assert merged.startswith("Some Other Race alone ")
    assert len(counts) == 6
    assert sum(counts) == (problem.group == 3).sum()
    share = np.bincount(problem.group) / 40_000
    whole = np.array([259_625, 29_482, 19_242, 24_551]) / 332_900
    assert np.abs(share - whole).max() < 0.002


def test_digits_are_rare_in_the_pool_only(load, shared_data):
    problem = load("digits")
    counts = {s: np.bincount(problem.rows(s)[1], minlength=10) for s in SPLITS}
    natural = Digits(rare=None).load(shared_data, Streams(0))
    whole = np.bincount(natural.rows("train")[1], minlength=10)
    assert counts["train"][8] == round(Digits().keep * whole[8]) < 0.5 * whole[8]
    assert np.array_equal(np.delete(counts["train"], 8), np.delete(whole, 8))
    assert all(c[8] > 0.9 * c.mean() for s, c in counts.items() if s != "train")
    assert np.array_equal(problem.y, problem.group)
    assert problem.shape == (64,)
    assert 0 == problem.X.min() < problem.X.max() == 1
    assert f"{Digits().keep:.0%} of its training-pool rows" in problem.card.description


def test_keep_and_rare_are_settings_of_digits(shared_data):
    natural = Digits(rare=None).load(shared_data, Streams(0))
    assert len(natural.X) == 1797
    other = Digits(rare=3, keep=0.5).load(shared_data, Streams(0))
    counts = np.bincount(other.rows("train")[1])
    assert 40 < counts[3] < 46
    assert counts[8] > 80


def test_mnist_is_found_in_its_folder_and_beside_it(load, shared_data):
    problem = load("mnist10k")
    assert problem.shape == (1, 28, 28)
    assert {s: len(problem.splits[s]) for s in ("validation", "calibration", "test")} == {
        "validation": 800,
        "calibration": 1600,
        "test": 2000,
    }
    direct = Mnist().load(shared_data / "mnist10k", Streams(0))
    assert direct.fingerprint == problem.fingerprint
    eights = (problem.rows("train")[1] == 8).sum()
    others = np.bincount(problem.rows("train")[1])[:8].mean()
    assert 0.08 < eights / others < 0.12


def test_adult_is_found_when_data_dir_is_its_own_folder(load, shared_data):
    direct = Adult().load(shared_data / "adult", Streams(0))
    assert direct.fingerprint == load("adult").fingerprint
