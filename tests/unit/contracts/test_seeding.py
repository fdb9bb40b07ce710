"""Random streams: each purpose and each named sub-stream draws on its own."""

import dataclasses
import random

import numpy as np
import pytest
import torch

from trustbench.contracts.seeding import (
    PURPOSES,
    SALTED,
    Streams,
    normals,
    sub_stream,
    system_normals,
    system_uniforms,
    uniforms,
)

PATHS = [(), (0,), (1,), (0, 1), ("pgd_ce",), ("pgd_ce", 1), (0, "pgd_ce"), (0, "pgd_ce", 1)]


def test_every_purpose_and_path_has_a_seed_of_its_own():
    seeds = {Streams(0).entropy(purpose, *path) for purpose in PURPOSES for path in PATHS}
    assert len(seeds) == len(PURPOSES) * len(PATHS)
    assert Streams(0).entropy("attacks", 3, "square") == Streams(0).entropy("attacks", 3, "square")


@pytest.mark.parametrize("name", ["", "3", "-1", "Square", "a/b", "two words", "_x"])
def test_a_name_that_could_meet_another_stream_is_refused(name):
    with pytest.raises(ValueError, match="cannot name a sub-stream"):
        Streams(0).entropy("attacks", 0, name)


def test_an_unknown_purpose_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match="unknown purpose 'attack'; one of split, inclusion"):
        Streams(0).entropy("attack")


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_salt_and_the_first_model_move_the_draws_of_training_alone(purpose):
    plain = Streams(0).entropy(purpose, 2, "name")
    salted = Streams(0, salt=1).entropy(purpose, 2, "name")
    shadow = Streams(0, first=2).entropy(purpose, 0, "name")
    assert (salted != plain) == (purpose in SALTED)
    assert (shadow == plain) == (purpose in SALTED)
    named = dataclasses.replace(Streams(0), first=2).entropy(purpose, "name")
    assert named == Streams(0).entropy(purpose, "name"), "only the number of a model is shifted"


def test_a_sub_stream_of_a_generator_depends_on_its_seed_and_name_alone():
    def drawn(seed, name, before=0):
        generator = torch.Generator().manual_seed(seed)
        torch.rand(before, generator=generator)
        left = generator.get_state()
        first = torch.rand(3, generator=sub_stream(generator, name))
        assert torch.equal(generator.get_state(), left), "the generator itself is not advanced"
        return first

    assert torch.equal(drawn(1, "counts"), drawn(1, "counts", before=5))
    assert not torch.equal(drawn(1, "counts"), drawn(1, "others"))
    assert not torch.equal(drawn(1, "counts"), drawn(2, "counts"))


def test_golden_seeds():
    """These must NOT be changed: every stored number is drawn from such a seed."""
    assert Streams(0).entropy("split") == 7652025240298758280
    assert Streams(0).entropy("attacks") == 3201634580296910518
    moved = Streams(3, salt=1, first=2, model=4)
    assert moved.entropy("attacks", 1, "x") == 166104822235457137
    assert moved.entropy("conformal", 1, "x") == 2503212019758886889
    counts = sub_stream(torch.Generator().manual_seed(1), "counts")
    assert counts.initial_seed() == 1608813377801126774


@pytest.mark.parametrize("purpose", PURPOSES)
def test_an_exported_model_takes_the_draws_of_its_replicate(purpose):
    """Only of what a deployed system draws for each model; a named stream is of no model."""
    alone = Streams(0, model=2)
    of_models = purpose in ("conformal", "attacks", "dp_noise")
    assert (alone.entropy(purpose, 0, 5) == Streams(0).entropy(purpose, 2, 5)) == of_models
    assert alone.entropy(purpose, "name", 0) == Streams(0).entropy(purpose, "name", 0)
    assert alone.entropy(purpose) == Streams(0).entropy(purpose)


def test_global_generators_are_seeded_inside_the_block_and_restored_after_it():
    def drawn():
        return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002

    seed = Streams(0).entropy("pilot", 3)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    plain = drawn()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    with Streams(0).global_state("pilot", 3):
        inside = drawn()
    expected = random.Random(seed).random(), np.random.RandomState(seed % 2**32).rand()
    assert inside[:2] == expected
    assert inside[2] == float(torch.rand((), generator=torch.Generator().manual_seed(seed)))
    assert drawn() == plain, "as if the block had drawn nothing"


def test_bits_become_the_middle_of_their_interval():
    step = 2.0**-52
    words = np.array([0, 2**12, 2**12 - 1, 2**64 - 1], dtype=np.uint64)
    expected = [0.5 * step, 1.5 * step, 0.5 * step, 1 - 0.5 * step]
    assert uniforms(words.tobytes()).tolist() == expected


def test_normals_are_those_of_box_and_muller():
    radius = np.exp(-np.array([0.5, 2.0, 4.5, 0.5]))  # radii 1, 2, 3, 1
    found = normals(np.concatenate([radius, [0.0, 0.5, 1 / 6, 0.25]]))
    np.testing.assert_allclose(found, [1.0, -2.0, 1.5, 0.0], atol=1e-12)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_system_gives_as_many_numbers_as_are_wanted(count):
    assert system_uniforms(count).shape == system_normals(count).shape == (count,)
