"""Random streams: each purpose and each named sub-stream draws on its own."""

import dataclasses

import pytest
import torch

from trustbench.contracts.seeding import PURPOSES, SALTED, Streams, sub_stream

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
