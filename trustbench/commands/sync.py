"""`trustbench sync`: uploads what the tracking server does not have yet."""

from collections.abc import Sequence

from trustbench.api.records import existing_store
from trustbench.api.uploads import upload_missing
from trustbench.commands.parsing import add_store, parser


def main(args: Sequence[str]) -> int:
    """Returns 0 once the server has every finished record."""
    p = parser("sync", "Upload records and audits that the tracking server does not have yet.")
    add_store(p)
    given = p.parse_args(args)
    done = upload_missing(existing_store(given.folder), given.tracking_uri)
    print(f"uploaded {done.new} records; {done.known} were there.")  # noqa: T201
    if done.audits or done.known_audits:
        print(f"uploaded {done.audits} audits; {done.known_audits} were there.")  # noqa: T201
    return 0
