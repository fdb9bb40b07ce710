"""MNIST through torchvision, with one digit made rare."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from trustbench.contracts import DataCard
from trustbench.datasets.loading.torchvision_sets import ClassImages


@dataclass(frozen=True)
class Mnist(ClassImages):
    """Handwritten digits [n, 1, 28, 28] in [0, 1]; digit 8 is cut to a tenth of the pool.

    `folder` is the location of the files below `data_dir`: another folder is another cut of the
    same images, in torchvision's layout.

    Reference: Bagdasaryan et al. 2019, arXiv 1905.12101, section 4 (digit 8 cut to 500 images,
    a tenth); Esipova et al. 2023, arXiv 2206.07137 (kept with probability .09).
    """

    folder: str = "mnist"
    rare: Annotated[int, Field(ge=0, le=9)] | None = 8

    version: ClassVar[int] = 1
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "LeCun, Cortes and Burges 1998, The MNIST database"
    torchvision_name: ClassVar[str] = "MNIST"
    home: ClassVar[str] = "mnist"
    marker: ClassVar[str] = "MNIST/raw/train-images-idx3-ubyte"
    card: ClassVar[DataCard] = DataCard(
        description="Handwritten digits of US census staff and high-school students, 28x28 grey "
        "pixels; groups are the classes.",
        known_harms="None known about people: writers are not identified, so one writer's "
        "digits may be in two splits.",
        licence="CC BY-SA 3.0",
        reference="LeCun, Cortes and Burges 1998, The MNIST database",
        rows_public=True,
    )
