"""trustbench: what improving one aspect of trustworthy AI does to the others.

    import trustbench

    records = trustbench.run("+experiment=dp_vs_fairness", output_dir="outputs")
    trustbench.table(records).cells         # one row for each cell, with its interval and verdict
    trustbench.gate(records, "default")     # does a change keep a policy?
    trustbench.report(records, "report.html")

It also exports the plugin bases: `class Mine(trustbench.Dataset)`. Names are imported on first use,
so `import trustbench` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trustbench.api.audits import AuditResult, audit
    from trustbench.api.checks.check import check_plugin
    from trustbench.api.exports import Exported, ExportedModel, export, load_model
    from trustbench.api.gates import Gated, gate
    from trustbench.api.records import Records, load_records
    from trustbench.api.reports import report
    from trustbench.api.runs import run
    from trustbench.api.selections import Selected, select
    from trustbench.api.tables import Tables, table
    from trustbench.contracts import (
        Aspect,
        Batch,
        DataCard,
        Dataset,
        Evaluator,
        Feature,
        GradientRule,
        Intervention,
        Measured,
        Measurement,
        Metric,
        Model,
        Problem,
        Read,
        Schedule,
        Streams,
        System,
    )
    from trustbench.errors import (
        ConfigError,
        DataError,
        TrustbenchError,
        Unsupported,
        UserError,
    )
    from trustbench.store.records import Record

__version__ = "0.1.0"

_HOMES = {
    "trustbench.api.audits": ("AuditResult", "audit"),
    "trustbench.api.checks.check": ("check_plugin",),
    "trustbench.api.exports": ("Exported", "ExportedModel", "export", "load_model"),
    "trustbench.api.gates": ("Gated", "gate"),
    "trustbench.api.records": ("Records", "load_records"),
    "trustbench.api.reports": ("report",),
    "trustbench.api.runs": ("run",),
    "trustbench.api.selections": ("Selected", "select"),
    "trustbench.api.tables": ("Tables", "table"),
    "trustbench.contracts": (
        "Aspect", "Batch", "DataCard", "Dataset", "Evaluator", "Feature", "GradientRule",
        "Intervention", "Measured", "Measurement", "Metric", "Model", "Problem", "Read", "Schedule",
        "Streams", "System",
    ),
    "trustbench.errors": (
        "ConfigError", "DataError", "TrustbenchError", "Unsupported", "UserError",
    ),
    "trustbench.store.records": ("Record",),
}  # fmt: skip
"""The module that defines each public name; a test compares it with the imports above."""

__all__ = [
    "Aspect",
    "AuditResult",
    "Batch",
    "ConfigError",
    "DataCard",
    "DataError",
    "Dataset",
    "Evaluator",
    "Exported",
    "ExportedModel",
    "Feature",
    "Gated",
    "GradientRule",
    "Intervention",
    "Measured",
    "Measurement",
    "Metric",
    "Model",
    "Problem",
    "Read",
    "Record",
    "Records",
    "Schedule",
    "Selected",
    "Streams",
    "System",
    "Tables",
    "TrustbenchError",
    "Unsupported",
    "UserError",
    "__version__",
    "audit",
    "check_plugin",
    "export",
    "gate",
    "load_model",
    "load_records",
    "report",
    "run",
    "select",
    "table",
]


def __getattr__(name: str) -> Any:
    """Imports a public name from the module that defines it."""
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(home), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'trustbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
