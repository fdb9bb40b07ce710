"""`trustbench export`: one model of a measured arm, for use."""

from collections.abc import Sequence

from trustbench.api.exports import FORMATS, export
from trustbench.commands.parsing import add_config_dir, add_evaluation, add_store, parser
from trustbench.commands.read_records import read
from trustbench.errors import UserError
from trustbench.execution.progress import arm_progress
from trustbench.summary.render.escaping import visible


def main(args: Sequence[str]) -> int:
    """Returns 0 once the model is written."""
    p = parser(
        "export",
        "Writes one model of a measured arm, as it is deployed: raw rows in, decisions out, with "
        "its scaling, thresholds, prediction sets and explanations, and a card.",
    )
    p.add_argument("--policy", metavar="NAME|FILE", help="selects the arm; its verdict is kept")
    p.add_argument("--arm", metavar="LABEL", help="the arm: a label, a name in the sweep, or an id")
    which = p.add_mutually_exclusive_group(required=True)
    which.add_argument("--refit", choices=["all"], help="train it again on the whole training pool")
    which.add_argument("--replicate", metavar="K", type=int, help="one of the measured models")
    p.add_argument("--to", default="folder", metavar="FORMAT", help=", ".join(FORMATS))
    p.add_argument("--output", metavar="DIR", help="a new folder (default exports/ARM-WHICH)")
    p.add_argument("--name", help="register the MLflow model under this name")
    p.add_argument("--data-dir", metavar="DIR", default="data", help="data files (default data)")
    p.add_argument("--plugins", metavar="MODULES", default="", help="your own modules: a,b")
    p.add_argument("--experiment", metavar="NAME", help="choose among the arms of this sweep")
    add_store(p)
    add_config_dir(p)
    add_evaluation(p)
    given = p.parse_args(args)
    if given.name and given.to != "mlflow":
        raise UserError("--name registers an MLflow model; add --to mlflow.")
    with arm_progress(given.arm or given.policy or "export", 1) as progress:
        made = export(
            read(given),
            given.arm,
            policy=given.policy,
            replicate=given.replicate,
            to=given.to,
            output=given.output,
            data_dir=given.data_dir,
            config_dir=given.config_dir,
            plugins=[m for m in given.plugins.split(",") if m],
            name=given.name,
            progress=progress,
        )
    spec = made.model.spec
    print(visible(f"{spec.label}: {spec.trained_on}"))  # noqa: T201
    print(visible(f"written to {made.path}"))  # noqa: T201
    if made.version is not None:
        where = "the tracking server" if given.tracking_uri else f"{given.folder}/mlflow.db"
        print(visible(f"registered as {made.version} in {where}"))  # noqa: T201
    return 0
