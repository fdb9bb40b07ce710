"""Fashion-MNIST through torchvision."""

from dataclasses import dataclass
from typing import ClassVar

from trustbench.contracts import DataCard
from trustbench.datasets.loading.torchvision_sets import ClassImages


@dataclass(frozen=True)
class FashionMnist(ClassImages):
    """Photographs of clothes [n, 1, 28, 28] in [0, 1]; groups are the ten classes.

    Reference: Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747.
    """

    folder: str = "fashion_mnist"

    version: ClassVar[int] = 1
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747"
    torchvision_name: ClassVar[str] = "FashionMNIST"
    home: ClassVar[str] = "fashion_mnist"
    marker: ClassVar[str] = "FashionMNIST/raw/train-images-idx3-ubyte"
    card: ClassVar[DataCard] = DataCard(
        description="Articles of a clothing shop, 28x28 grey pixels, 7,000 of each of 10 classes; "
        "groups are the classes.",
        known_harms="None known: no people are shown or described.",
        licence="MIT",
        reference="Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747",
        rows_public=True,
    )
