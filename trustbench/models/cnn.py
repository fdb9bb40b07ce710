"""A small convolutional network."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn
from typing_extensions import override

from trustbench.contracts import Model, Problem
from trustbench.models.images import as_image, image_shape, refusal

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
GROUPS = 4
Channels = Annotated[int, Field(ge=GROUPS, multiple_of=GROUPS)]


@dataclass(frozen=True)
class CNN(Model):
    """Two strided 3x3 convolutions with GroupNorm, then one linear layer: logits [n, C].

    Each convolution halves height and width. It uses GroupNorm because BatchNorm couples the
    examples of a batch: differential privacy forbids that, and the baseline must have the
    architecture of the treated arm. Flat square images of pixels (digits) are folded first.

    Reference: Papernot et al. 2021, arXiv 2007.14191, table 1 (small CNN with tanh under
    DP-SGD); Wu and He 2018, arXiv 1803.08494 (GroupNorm).
    """

    channels: tuple[Channels, Channels] = (16, 32)
    activation: Literal["tanh", "relu"] = "tanh"

    version: ClassVar[int] = 1
    learning_rate: ClassVar[float] = 0.03
    reference: ClassVar[str] = "Papernot et al. 2021, arXiv 2007.14191"

    @override
    def supports(self, problem: Problem) -> str | None:
        return refusal(problem, smallest=4)

    def build(self, problem: Problem) -> nn.Module:
        """A chain of convolutions; no layer works in place or couples examples."""
        image = image_shape(problem)
        assert image is not None, "refused by supports"
        width, height, last = image[2], image[1], image[0]
        layers = as_image(problem)
        for channels in self.channels:
            layers += [
                nn.Conv2d(last, channels, kernel_size=3, stride=2, padding=1),
                nn.GroupNorm(GROUPS, channels),
                ACTIVATIONS[self.activation](),
            ]
            width, height, last = (width + 1) // 2, (height + 1) // 2, channels
        head = nn.Linear(last * height * width, len(problem.classes))
        return nn.Sequential(*layers, nn.Flatten(), head)
