"""Modules as people bring them, right and wrong; tests name them as `nets.py:Net`."""

import random

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    """What a page of documentation would show."""

    def __init__(self, n_features, n_classes=2, width=8):
        super().__init__()
        self.hidden, self.out = nn.Linear(n_features, width), nn.Linear(width, n_classes)

    def forward(self, x):
        return self.out(torch.tanh(self.hidden(x.flatten(1))))


class Base(nn.Module):
    """A hidden layer and an output layer, around what a subclass does."""

    outputs = 2

    def __init__(self, n_features):
        super().__init__()
        self.hidden, self.out = nn.Linear(n_features, 8), nn.Linear(8, self.outputs)

    def forward(self, x):
        return self.out(torch.tanh(self.hidden(x)))


class Dropout(Base):
    """Dropout layers: right."""

    def __init__(self, n_features):
        super().__init__(n_features)
        self.drop = nn.Dropout(0.3)

    def forward(self, x):
        return self.out(self.drop(torch.tanh(self.hidden(x))))


class FunctionalDropout(Base):
    """A random call in forward."""

    def forward(self, x):
        return self.out(F.dropout(torch.tanh(self.hidden(x)), 0.3, self.training))


class AlwaysDropout(Base):
    """Monte-Carlo dropout without an end."""

    def forward(self, x):
        return self.out(F.dropout(torch.tanh(self.hidden(x)), 0.3))


class BatchNorm(Base):
    """Couples the examples of a batch."""

    def __init__(self, n_features):
        super().__init__(n_features)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x):
        return self.out(self.norm(self.hidden(x)))


class Centred(Base):
    """Couples the examples of a batch by hand."""

    def forward(self, x):
        h = self.hidden(x)
        return self.out(torch.tanh(h - h.mean(0)))


class OneLogit(Base):
    """A binary head [n, 1]."""

    outputs = 1


class FlatLogit(OneLogit):
    """A binary head [n]."""

    def forward(self, x):
        return super().forward(x).squeeze(-1)


class Sigmoid(OneLogit):
    """A binary head that returns a probability."""

    def forward(self, x):
        return torch.sigmoid(super().forward(x)).squeeze(-1)


class Softmax(Base):
    """Probabilities in place of logits."""

    def forward(self, x):
        return super().forward(x).softmax(-1)


class Three(Base):
    """Three outputs."""

    outputs = 3


class Tuple(Base):
    """Logits and features."""

    def forward(self, x):
        h = self.hidden(x)
        return self.out(torch.tanh(h)), h


class Double(Base):
    """Double precision."""

    def __init__(self, n_features):
        super().__init__(n_features)
        self.double()

    def forward(self, x):
        return super().forward(x.double())


class DoubleOutput(Base):
    """Double precision at the end only."""

    def forward(self, x):
        return super().forward(x).double()


class InPlace(Base):
    """Layers and operations in place, on tensors of its own: right."""

    def __init__(self, n_features):
        super().__init__(n_features)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.out(self.relu(self.hidden(x)))


class InPlaceInput(Base):
    """Changes the data."""

    def forward(self, x):
        x.mul_(2)
        return super().forward(x)


class NoParameters(nn.Module):
    """Nothing to train."""

    def forward(self, x):
        return x[:, :2]


class Unused(Base):
    """A layer that forward forgets."""

    def __init__(self, n_features):
        super().__init__(n_features)
        self.spare = nn.Linear(8, 8)


class Rounded(Base):
    """Steps have no gradient."""

    def forward(self, x):
        return super().forward(x.round())


class Detached(Base):
    """Cut off from its inputs."""

    def forward(self, x):
        return super().forward(x.detach())


class Branch(Base):
    """An `if` on values, which vmap cannot take: Opacus trains it."""

    def forward(self, x):
        h = self.hidden(x)
        return self.out(torch.tanh(h)) if bool(h.isfinite().all()) else self.out(h)


class Borrowed(Base):
    """Uses the weight of a layer outside of it: only the stacked engine sees that."""

    def forward(self, x):
        h = torch.tanh(self.hidden(x))
        return self.out(h + F.linear(h @ self.hidden.weight, self.hidden.weight))


class NumpyStart(Base):
    """Draws initial weights where no seed reaches."""

    def __init__(self, n_features):
        super().__init__(n_features)
        with torch.no_grad():
            self.out.weight.fill_(random.random())


class OtherShape(nn.Module):
    """Expects images."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x):
        return self.conv(x).mean((-2, -1))


class Lazy(Base):
    """A lazy layer learns its shape from the data."""

    def __init__(self):
        super().__init__(1)
        self.hidden = nn.LazyLinear(8)


class Broken(Base):
    """Its constructor fails."""

    def __init__(self, n_features):
        raise ValueError("no licence\nfor this")


def factory(n_features, depth=1):
    """A function that builds a module."""
    middle = [m for _ in range(depth) for m in (nn.Linear(8, 8), nn.Tanh())]
    return nn.Sequential(nn.Linear(n_features, 8), nn.Tanh(), *middle, nn.Linear(8, 2))


def not_a_module(n_features):
    """Returns something else."""
    return n_features


def needy(width, n_features):
    """Requires what no data set knows."""
    return Net(n_features, 2, width)


instance = Net(6)
