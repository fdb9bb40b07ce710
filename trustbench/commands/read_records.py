"""The records that a command is given."""

import argparse

from trustbench.api.records import Records, every_record, read_records
from trustbench.store.records import Record


def read(given: argparse.Namespace, *, one_sweep: bool = True) -> Records:
    """What --from or --tracking-uri holds, and the sweep that --experiment names."""
    return read_records(
        given.folder,
        given.experiment,
        tracking_uri=given.tracking_uri,
        evaluations=vars(given).get("evaluation", ()),
        one_sweep=one_sweep,
    )


def read_every(given: argparse.Namespace) -> dict[str, Record]:
    """Every record there, by id (of --experiment alone on a server, if given)."""
    found = every_record(given.folder, given.tracking_uri, given.experiment)
    return {r.id: r for r in found}
