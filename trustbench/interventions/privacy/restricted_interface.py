"""Releases less with a prediction: the label, the likeliest classes, or rounded numbers."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Intervention, Problem, Schedule, System
from trustbench.contracts.aspects import Aspect


@dataclass(frozen=True)
class RestrictedInterface(Intervention):
    """Coarsens the probabilities that users see. It retrains nothing and changes no decision.

    `label` shows probability 1 for the predicted label. `top_k` shows the `k` largest probabilities
    and spreads the rest of the mass evenly over the other labels. `rounded` rounds to `decimals`
    places; such numbers need not sum to 1. Set to null what the mode does not use.

    A coarser view cannot reveal more, yet LiRA may score higher behind rounding: its single
    variance for all rows suffers from outlying confidences, which rounding clips. RMIA has no
    variance; compare with `membership_attacks/rmia_auc`.

    Reference: Shokri et al. 2017, arXiv 1610.05820, section VIII (mitigation strategies).
    """

    mode: Literal["label", "top_k", "rounded"] = "label"
    k: Annotated[int, Field(ge=1)] | None = None
    decimals: Annotated[int, Field(ge=0, le=15)] | None = None

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.PRIVACY
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Shokri et al. 2017, arXiv 1610.05820"
    dose: ClassVar[tuple[str, ...]] = ("mode", "k", "decimals")
    deploys: ClassVar[Literal["outputs", "channel", "release"]] = "release"

    def __post_init__(self) -> None:
        """Refuses a number that the mode does not use, and a mode without its number."""
        for name, value, mode in (("k", self.k, "top_k"), ("decimals", self.decimals, "rounded")):
            if (value is not None) != (self.mode == mode):
                raise ValueError(
                    f"{name}={value} with mode={self.mode}; "
                    f"give a number with mode={mode} and null otherwise."
                )

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        classes = len(problem.classes)
        if self.k is not None and self.k >= classes - 1:
            return (
                f"the {self.k} largest of {classes} probabilities determine all of them; "
                "give a smaller k or mode=label"
            )
        return None

    @override
    def deploy(self, system: System) -> System:
        return replace(system, interface=self.release)

    def release(self, logits: Tensor) -> Tensor:
        """Returns what is shown, [..., C], for logits [..., C]."""
        p = logits.softmax(-1)
        if self.mode == "rounded":
            return p.round(decimals=self.decimals or 0)
        if self.mode == "label":
            return p.new_zeros(p.shape).scatter(-1, logits.argmax(-1, keepdim=True), 1.0)
        kept = p.topk(self.k or 1, dim=-1)
        rest = (1 - kept.values.sum(-1, keepdim=True)).clamp(min=0.0)
        others = rest / (p.shape[-1] - kept.values.shape[-1])
        return others.expand(p.shape).scatter(-1, kept.indices, kept.values)
