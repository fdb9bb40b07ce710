"""`trustbench report`: a table with its evidence, or an audit, as one HTML file."""

import sys
from collections.abc import Sequence

from trustbench.api.audit_records import report_audit, report_audits
from trustbench.api.lookup import find_policy
from trustbench.api.reports import report
from trustbench.commands.parsing import (
    add_audits,
    add_config_dir,
    add_evaluation,
    add_store,
    parser,
)
from trustbench.commands.read_records import read, requested_audits
from trustbench.errors import UserError


def main(args: Sequence[str]) -> int:
    """Returns 0 once the report is written."""
    p = parser("report", "One self-contained HTML file: table, cells, curves, provenance.")
    add_store(p)
    add_config_dir(p)
    add_evaluation(p)
    p.add_argument("--experiment", metavar="NAME", help="read this experiment's last sweep only")
    add_audits(p)
    p.add_argument("--table", metavar="NAME|FILE", help="default: the sweep's own")
    p.add_argument(
        "--policy",
        metavar="NAME|FILE",
        help="weights of risks, or decisions on an audit (list policies)",
    )
    p.add_argument("--output", metavar="FILE", default="report.html", help="default report.html")
    given = p.parse_args(args)
    policy = find_policy(given.policy, given.config_dir) if given.policy else None
    audited = requested_audits(given, ("experiment", "table", "evaluation"))
    if len(audited) > 1 and policy is not None:
        raise UserError("--policy decides on one audit; give one, or leave --policy out.")
    if len(audited) > 1:
        path = report_audits(audited, given.output)
    elif audited:
        path = report_audit(audited[0], given.output, policy=policy, config_dir=given.config_dir)
    else:
        path = report(
            read(given), given.output, table=given.table, policy=policy, config_dir=given.config_dir
        )
    print(f"report: {path}", file=sys.stderr)  # noqa: T201
    return 0
