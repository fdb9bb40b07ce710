"""Recognises images, and provides layers that image models share."""

from math import isqrt

from torch import Tensor, nn

from trustbench.contracts import Problem


def image_shape(problem: Problem) -> tuple[int, int, int] | None:
    """(channels, height, width) of a problem's inputs, or None if they are not images.

    Flat inputs are an image if every feature is a pixel and they fill a square: scikit-learn
    returns its digits as rows of 64.
    """
    if len(problem.shape) == 3:
        channels, height, width = problem.shape
        return channels, height, width
    side = isqrt(problem.n_features)
    flat = len(problem.shape) == 1 and side * side == problem.n_features
    if flat and all(f.kind == "pixel" for f in problem.features):
        return 1, side, side
    return None


def refusal(problem: Problem, smallest: int) -> str | None:
    """Returns why a convolutional model cannot take this problem, or None if it can."""
    image = image_shape(problem)
    if image is None:
        return (
            f"it takes images, but {problem.name} has inputs of shape {problem.shape}; use "
            f"model=mlp"
        )
    if min(image[1:]) < smallest:
        return (
            f"it takes images of at least {smallest}x{smallest} pixels, but those of "
            f"{problem.name} have {image[1]}x{image[2]}; use model=cnn or model=mlp"
        )
    return None


def as_image(problem: Problem) -> list[nn.Module]:
    """The layer that folds flat pixels into (channels, height, width), if they are flat."""
    image = image_shape(problem)
    assert image is not None, "refused by supports"
    return [] if len(problem.shape) == 3 else [nn.Unflatten(1, image)]


class SpatialMean(nn.Module):
    """The mean over height and width, [n, c, h, w] -> [n, c].

    Replaces AdaptiveAvgPool2d, whose gradient on CUDA is not deterministic.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> [n, c]."""
        return x.mean((-2, -1))
