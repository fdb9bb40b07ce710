"""ResNet-18 of torchvision with GroupNorm, for small images."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet
from typing_extensions import override

from trustbench.contracts import Model, Problem
from trustbench.models.images import SpatialMean, as_image, image_shape, refusal

LARGE = 64  # images with a longer side keep the strided stem and its pooling


class _Block(BasicBlock):  # type: ignore[misc]  # torchvision has no types
    """torchvision's block without in-place operations, which break hooks and vmap."""

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> [n, c', h', w']."""
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        identity = x if self.downsample is None else self.downsample(x)
        return nn.functional.relu(out + identity)


@dataclass(frozen=True)
class ResNet18(Model):
    """Torchvision's ResNet-18 with GroupNorm of `groups` groups: logits [n, C].

    Images of up to 64 pixels a side get a 3x3 stem without stride or pooling, as in the reference
    for CIFAR. It ends in a plain mean over space, which is deterministic on CUDA.

    Reference: He et al. 2016, arXiv 1512.03385, sections 3.3 and 4.2; Wu and He 2018, arXiv
    1803.08494 (GroupNorm); De et al. 2022, arXiv 2204.13650 (GroupNorm under DP-SGD).
    """

    groups: Annotated[int, Field(ge=1, le=64)] = 16

    version: ClassVar[int] = 1
    learning_rate: ClassVar[float] = 0.01
    reference: ClassVar[str] = "He et al. 2016, arXiv 1512.03385"

    def __post_init__(self) -> None:
        if 64 % self.groups:
            raise ValueError(f"groups={self.groups} does not divide 64, the narrowest layer")

    @override
    def supports(self, problem: Problem) -> str | None:
        return refusal(problem, smallest=8)

    def build(self, problem: Problem) -> nn.Module:
        """The network; no layer works in place or couples examples."""
        image = image_shape(problem)
        assert image is not None, "refused by supports"
        net = ResNet(
            _Block,
            [2, 2, 2, 2],
            num_classes=len(problem.classes),
            norm_layer=partial(nn.GroupNorm, self.groups),
        )
        large = max(image[1:]) > LARGE
        stem = partial(nn.Conv2d, image[0], 64, bias=False)
        net.conv1 = stem(7, stride=2, padding=3) if large else stem(3, padding=1)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        if not large:
            net.maxpool = nn.Identity()
        net.avgpool = SpatialMean()
        for module in net.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
        return nn.Sequential(*as_image(problem), net)
