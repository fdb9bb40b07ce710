"""`trustbench sign`: a signature over the records and tables of a sweep."""

from collections.abc import Sequence
from pathlib import Path

from trustbench.api.signing import sign
from trustbench.api.signing_keys import make_keys
from trustbench.commands.parsing import add_config_dir, add_folder, parser
from trustbench.errors import UserError


def main(args: Sequence[str]) -> int:
    """Returns 0 once the signature, or the new key, is written."""
    p = parser("sign", "Sign the records and tables of a sweep with an Ed25519 key.")
    add_folder(p)
    add_config_dir(p)
    p.add_argument("--experiment", metavar="NAME", help="the sweep; default: the only one")
    p.add_argument("--key", metavar="FILE", help="the private key, PEM")
    p.add_argument("--new-key", metavar="FILE", help="make a key and its .pub instead of signing")
    given = p.parse_args(args)
    if (given.key is None) == (given.new_key is None):
        raise UserError("give either --key FILE, to sign, or --new-key FILE, to make a key.")
    if given.new_key is not None:
        public = make_keys(Path(given.new_key).expanduser())
        print(f"keep {given.new_key} secret; publish {public}.")  # noqa: T201
        return 0
    path = sign(given.folder, given.key, given.experiment, given.config_dir)
    print(f"signed: {path}")  # noqa: T201
    return 0
