"""`trustbench card`: the model card and data sheet of a record, from records only."""

from collections.abc import Sequence

from trustbench.commands.parsing import add_config_dir, add_folder, existing_store, parser
from trustbench.commands.select import chosen_sweep, put
from trustbench.commands.summarize import DEFAULT_TABLE, find_table
from trustbench.records import Sweep
from trustbench.summary.card import card, find
from trustbench.summary.render.card import markdown


def main(args: Sequence[str]) -> int:
    """0 once the card is printed or written."""
    p = parser("card", "The model card of a record, as Markdown with front matter for model hubs.")
    p.add_argument("--arm", metavar="RECORD", required=True, help="its id, or how that begins")
    add_folder(p)
    add_config_dir(p)
    p.add_argument("--experiment", metavar="NAME", help="read what this sweep measured only")
    p.add_argument("--table", metavar="NAME|FILE", help="default: the sweep's own")
    p.add_argument("--license", metavar="ID", help="of the model, say apache-2.0")
    p.add_argument("--output", metavar="FILE", help="write to a file instead of printing")
    given = p.parse_args(args)
    store = existing_store(given.folder)
    records = list(store.records())
    record = find(given.arm, records)
    sweep: Sweep | None = None
    if given.experiment is not None or len(store.experiments()) == 1:
        sweep = chosen_sweep(store, given.experiment)
    if sweep is not None and record.id not in sweep.arms:
        sweep = None  # an arm of no sweep: its own evaluations, among all records
    name = given.table or (sweep.table if sweep else DEFAULT_TABLE)
    table = find_table(name, given.config_dir)
    same = [r for r in records if sweep is None or r.id in set(sweep.arms)]
    evaluations = sweep.evaluations if sweep else None
    found = card(record, store.arrays(record.id), same, table, evaluations)
    put(markdown(found, table, given.license), given.output)
    return 0
