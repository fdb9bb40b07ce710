"""Where a module's dropout layers drop something, and the shapes and scale of their masks."""

import pytest
import torch
from torch import nn

from tests.conftest import make_problem
from tests.unit.training.dropout_models import Twice, chain, channels
from tests.unit.training.test_loop import CPU
from trustbench.errors import ConfigError
from trustbench.training import dropout
from trustbench.training.engine_choice import choose


def test_the_places_of_dropout_layers_and_the_shapes_of_their_masks():
    assert {n: p.unit for n, p in dropout.places(chain(), (12,)).items()} == {
        "1.0": (12,),
        "4.0": (9,),
    }
    assert {n: p.unit for n, p in dropout.places(Twice(), (12,)).items()} == {
        "drop.0": (9,),
        "drop.1": (8,),
    }
    assert dropout.places(channels(), (12,))["2.0"].unit == (4, 1, 1)
    assert dropout.places(channels(0.0), (12,)) == {}
    shared = nn.Dropout(0.5)
    registered = nn.Sequential(nn.Linear(3, 4), shared, nn.Linear(4, 5), shared, nn.Linear(5, 2))
    assert list(dropout.places(registered, (3,))) == ["1.0", "1.1"]
    left = dropout.masked(registered, dropout.places(registered, (3,))).modules()
    assert not any(isinstance(m, nn.Dropout) for m in left)


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        (nn.Dropout, (5,)),
        (nn.Dropout, (5, 4, 3)),
        (nn.Dropout1d, (5,)),
        (nn.Dropout1d, (5, 4)),
        (nn.Dropout2d, (5,)),
        (nn.Dropout2d, (5, 4)),
        (nn.Dropout2d, (5, 4, 3)),
        (nn.Dropout3d, (5, 4, 3)),
        (nn.Dropout3d, (5, 4, 3, 2)),
    ],
)
@pytest.mark.filterwarnings("ignore:dropout2d")
def test_masks_drop_what_torchs_layers_drop(kind, unit):
    """The axes along which torch's own mask is constant are those of ours, and so is the scale."""
    torch.manual_seed(1)
    given = torch.ones(300, *unit)
    torchs = kind(0.5).train()(given)
    body = nn.Sequential(
        nn.Unflatten(1, unit), kind(0.5), nn.Flatten(), nn.Linear(given[0].numel(), 2)
    )
    (place,) = dropout.places(body, (given[0].numel(),)).values()
    ours = place.mask((300, *place.unit), torch.Generator().manual_seed(0)).expand(300, *unit)
    assert set(ours.unique().tolist()) == set(torchs.unique().tolist()) == {0.0, 2.0}
    assert [_constant(ours, axis) for axis in range(1, given.ndim)] == [
        _constant(torchs, axis) for axis in range(1, given.ndim)
    ]
    assert float(ours.mean()) == pytest.approx(1.0, abs=0.15)


def _constant(mask, axis):
    return bool((mask == mask.narrow(axis, 0, 1)).all())


def test_a_rate_of_one_drops_all():
    place = dropout.DropoutPlace(1.0, (4,))
    assert not place.mask((3, 4), torch.Generator()).any()


def test_an_example_without_a_mask_of_its_own_is_refused():
    class TimeFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.head = nn.Dropout(0.5), nn.Linear(6, 2)

        def forward(self, x):
            return self.head(
                self.drop(x.view(len(x), 2, 3).transpose(0, 1)).transpose(0, 1).flatten(1)
            )

    with pytest.raises(ConfigError, match=r"'drop' is given a tensor of shape .* first axis"):
        choose("auto", TimeFirst(), make_problem(), CPU)
