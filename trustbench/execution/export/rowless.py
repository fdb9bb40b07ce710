"""A problem without rows: what a deployed model knows of its data."""

from dataclasses import dataclass
from typing import Any, NoReturn

from typing_extensions import override

from trustbench.contracts import Array, Encoder, Feature, Problem, SplitName
from trustbench.contracts.problem import DataCard
from trustbench.errors import UserError
from trustbench.execution.export.spec import ExportSpec


class NoRows:
    """Stands in for an array of rows and refuses every read."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _refusal()

    def __getitem__(self, key: object) -> NoReturn:
        raise _refusal()

    def __len__(self) -> NoReturn:
        raise _refusal()


def _refusal() -> UserError:
    return UserError(
        "a method of this arm reads rows when it answers, and an exported model holds none; take "
        "what it learns through `system.learn`, see docs/own-plugins.md."
    )


@dataclass(frozen=True)
class RowlessProblem(Problem):
    """The classes, groups, features and encoder of a problem."""

    input_shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Nothing is checked: there are no rows."""

    @property
    @override
    def shape(self) -> tuple[int, ...]:
        return self.input_shape

    @override
    def rows(self, split: SplitName) -> tuple[Array, Array, Array]:
        raise _refusal()


def rowless(spec: ExportSpec) -> RowlessProblem:
    """The problem that an export describes."""
    nothing: Any = NoRows()
    return RowlessProblem(
        name=spec.arm.dataset.name,
        X=nothing,
        y=nothing,
        group=nothing,
        classes=tuple(spec.classes),
        groups=tuple(spec.groups),
        group_name=spec.group_name,
        features=tuple(_feature(f) for f in spec.features),
        splits=nothing,
        card=DataCard("", "", "", ""),
        encoder=None if spec.encoder is None else Encoder.from_content(spec.encoder),
        input_shape=tuple(spec.shape),
    )


def _feature(content: dict[str, Any]) -> Feature:
    return Feature(
        **{
            **content,
            "columns": tuple(content["columns"]),
            "levels": tuple(content["levels"]),
        }
    )
