"""`trustbench verify`: whether a signed sweep is as it was signed."""

import sys
from collections.abc import Sequence

from trustbench.api.signing import verify
from trustbench.commands.parsing import add_folder, parser


def main(args: Sequence[str]) -> int:
    """Returns 0 if every file is as signed, 1 if one is not."""
    p = parser("verify", "Whether the records and tables of a sweep are those that were signed.")
    add_folder(p)
    p.add_argument("--experiment", metavar="NAME", help="the sweep; default: the only one")
    p.add_argument("--public-key", metavar="FILE", required=True, help="the signer's, PEM")
    given = p.parse_args(args)
    found = verify(given.folder, given.public_key, given.experiment)
    for sentence in found.wrong:
        print(f"trustbench: {sentence}", file=sys.stderr)  # noqa: T201
    if found.wrong:
        return 1
    print(  # noqa: T201
        f"{found.experiment}: {found.files} files are as they were signed at {found.signed}."
    )
    return 0
