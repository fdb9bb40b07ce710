"""Tables among the artifacts of a run, which MLflow shows and compares under its evaluations."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from trustbench.contracts import Array
from trustbench.store.records import Record
from trustbench.summary.cards.figures import by_group
from trustbench.tracking import artifacts
from trustbench.tracking.server import TrackingServer

GROUPS = "groups.json"
GROUP_HEAD = ("group", "test rows", "metric", "mean", "low", "high", "replicates")


def group_rows(record: Record, arrays: Mapping[str, Array]) -> list[list[Any]]:
    """One row under GROUP_HEAD for each group and metric that the record's arrays hold."""
    if record.problem is None:
        return []
    sizes = record.problem.group_sizes
    return [
        [group, sizes.get(group, 0), column.metric, e.effect, e.low, e.high, e.n]
        for column in by_group(record, arrays)
        for group, e in column.by_group.items()
    ]


def log_table(
    server: TrackingServer, run_id: str, file: str, head: Sequence[str], rows: Sequence[list[Any]]
) -> None:
    """Writes a table as the artifact `file`; nothing for an empty one.

    MLflow's own `log_table` appends, so a repeated request would double the rows.
    """
    if not rows:
        return
    text = json.dumps({"columns": list(head), "data": list(rows)})
    artifacts.of_run(server, run_id).put_text(file, text)
    tagged = json.dumps([{"path": file, "type": "table"}])
    server.call("set_tag", run_id, "mlflow.loggedArtifacts", tagged)
