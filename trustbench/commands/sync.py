"""`trustbench sync`: uploads what the tracking server does not have yet."""

from collections.abc import Sequence

from trustbench import tracking
from trustbench.commands.parsing import add_store, existing_store, experiments, parser
from trustbench.store.records import Store


def main(args: Sequence[str]) -> int:
    """0 once the server has every finished record."""
    p = parser("sync", "Upload records that the tracking server does not have yet.")
    add_store(p)
    given = p.parse_args(args)
    store, uri = existing_store(given.folder), given.tracking_uri
    records = [r for r in store.records() if r.status != "started"]
    where = _experiment_of_arms(store)
    parents = {
        name: tracking.prepare(store, uri, name, sweep=name in experiments(store))
        for name in sorted({*experiments(store), *(where.get(r.id, "default") for r in records)})
    }
    known = tracking.logged(store, uri, records)
    missing = [r for r in records if r.id not in known]
    for record in missing:
        name = where.get(record.id, "default")
        tracking.log_record(store, uri, name, record, parents[name])
    for name in experiments(store):
        sweep, parent = store.sweep(name), parents[name]
        if sweep is not None and parent is not None:
            tracking.log_sweep(store, uri, parent, sweep, [])
    print(f"uploaded {len(missing)} records; {len(known)} were there.")  # noqa: T201
    return 0


def _experiment_of_arms(store: Store) -> dict[str, str]:
    """The experiment whose last sweep holds each arm; the first by name where several do."""
    found: dict[str, str] = {}
    for name in experiments(store):
        sweep = store.sweep(name)
        for arm in sweep.arms if sweep else ():
            found.setdefault(arm, name)
    return found
