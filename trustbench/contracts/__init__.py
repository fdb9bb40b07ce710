"""The vocabulary that all of trustbench shares, and the four plugin contracts. Read this first.

Data flows one way: Dataset -> Problem -> (Model, Interventions, the training loop) -> System
-> Evaluators -> Measurements. A plugin is a frozen dataclass in one file plus one YAML of the
same stem; its fields are its hyper-parameters and their schema.

Shapes used everywhere: R replicates, n rows, B padded batch rows, V views of one example, C
classes, d flattened features, `*shape` the shape of one input (``(d,)`` for tables, ``(c, h, w)``
for images).
"""

from trustbench.contracts.arrays import SPLITS, Array, SplitName
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.chain import Activation, Affine, Chain
from trustbench.contracts.encoding import (
    CategoryColumn,
    Encoder,
    GroupRule,
    NumberColumn,
    SensitiveColumn,
)
from trustbench.contracts.features import Action, Feature
from trustbench.contracts.interventions import TRAINING_HOOKS, Intervention
from trustbench.contracts.learnt import Fact, Learnt
from trustbench.contracts.measurement import Measured, Measurement, RowRedraw
from trustbench.contracts.mechanisms import Gaussian, PoissonGaussian, Pure, Read
from trustbench.contracts.metrics import (
    PERMUTED,
    Metric,
    Metrics,
    attack_auc,
    attack_rate,
    fraction,
)
from trustbench.contracts.plugins import Dataset, Evaluator, Model, Plugin
from trustbench.contracts.problem import DataCard, Problem, StructuralCausalModel
from trustbench.contracts.seeding import Streams
from trustbench.contracts.steps import Batch, FirstFit, GradientRule, Schedule
from trustbench.contracts.system import (
    ABSTAIN,
    CHANNELS,
    NEEDS,
    TRAINED,
    Access,
    Explainer,
    Forward,
    Intervals,
    Need,
    SetPredictor,
    System,
)

__all__ = [
    "ABSTAIN",
    "CHANNELS",
    "NEEDS",
    "PERMUTED",
    "SPLITS",
    "TRAINED",
    "TRAINING_HOOKS",
    "Access",
    "Action",
    "Activation",
    "Affine",
    "Array",
    "Aspect",
    "Batch",
    "CategoryColumn",
    "Chain",
    "DataCard",
    "Dataset",
    "Encoder",
    "Evaluator",
    "Explainer",
    "Fact",
    "Feature",
    "FirstFit",
    "Forward",
    "Gaussian",
    "GradientRule",
    "GroupRule",
    "Intervals",
    "Intervention",
    "Learnt",
    "Measured",
    "Measurement",
    "Metric",
    "Metrics",
    "Model",
    "Need",
    "NumberColumn",
    "Plugin",
    "PoissonGaussian",
    "Problem",
    "Pure",
    "Read",
    "RowRedraw",
    "Schedule",
    "SensitiveColumn",
    "SetPredictor",
    "SplitName",
    "Streams",
    "StructuralCausalModel",
    "System",
    "attack_auc",
    "attack_rate",
    "fraction",
]
