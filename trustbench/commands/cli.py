"""The command line: finds the subcommand, and turns every outcome into an exit code.

0 ok, 1 an arm failed or trustbench did, 2 usage or configuration, 130 interrupted. Only the
standard library is imported here, so that `trustbench --help` answers at once.
"""

import atexit
import gc
import os
import sys
import traceback
from collections.abc import Sequence

from trustbench import __version__
from trustbench.commands.catalogue import COMMANDS, module_of
from trustbench.errors import TrustbenchError, UserError, did_you_mean, printable
from trustbench.launching.streams import safe_streams
from trustbench.store.redaction import conceal_given, redact

VERSION = ("--version", "-V")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of `trustbench ARGV`."""
    args = list(sys.argv[1:] if argv is None else argv)
    # Composing a sweep makes a million objects and hardly any garbage: neither then nor at the
    # end is there much to look for.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    os.umask(os.umask(0) | 0o002)  # under any umask: nothing is writable by everybody
    with safe_streams():
        try:
            conceal_given(args, os.environ)
            code = _dispatch(_utf8(args))
            sys.stdout.flush()
        except BrokenPipeError:  # the reader has gone (`| head`)
            return 141
        except KeyboardInterrupt:
            print("trustbench: interrupted; run the same command again to go on.", file=sys.stderr)
            return 130
        except TrustbenchError as error:
            for line in _shown(str(error)).splitlines():
                print(f"trustbench: {printable(line)}", file=sys.stderr)
            return 2 if isinstance(error, UserError) else 1
        except Exception:  # noqa: BLE001  # our bug: the whole trace, and an exit code that says so
            print(_shown(traceback.format_exc()), end="", file=sys.stderr)
            return 1
        return code


def _utf8(args: list[str]) -> list[str]:
    """The arguments; raises UserError for one that no record and no address could hold."""
    for arg in args:
        if any("\ud800" <= c <= "\udfff" for c in arg):
            raise UserError(f"{arg!r} is not UTF-8 text; give names in UTF-8.")
    return args


def _shown(text: str) -> str:
    """What went wrong, without the credentials of an address in it."""
    return redact(text)


def usage() -> str:
    """What `trustbench --help` prints."""
    lines = [f"  {name:<12} {about}" for name, about in COMMANDS.items()]
    return "\n".join(
        [
            "usage: trustbench COMMAND [...]",
            "",
            "What improving one aspect of trustworthy AI does to the others.",
            "",
            *lines,
            "",
            f"trustbench {__version__}. `trustbench COMMAND --help` describes each command.",
            "Start with: trustbench run +experiment=dp_vs_fairness",
        ]
    )


def _dispatch(args: list[str]) -> int:
    if not args:
        raise UserError(f"no command was given. {did_you_mean('', COMMANDS)}")
    name, *rest = args
    if name == "help" and rest:
        name, rest = rest[0], ["--help"]
    if name in ("-h", "--help", "help"):
        print(usage())
        return 0
    if _asks_for_version(args):
        print(f"trustbench {__version__}")
        return 0
    if name not in COMMANDS:
        raise UserError(f"unknown command {name!r}; {did_you_mean(name, COMMANDS)}")
    code: int = module_of(name).main(rest)
    return code


def _asks_for_version(args: Sequence[str]) -> bool:
    """Whether `--version` or `-V` comes first, or last where it cannot be the value of a flag."""
    if args[0] in VERSION:
        return True
    value = len(args) > 1 and (args[-2].startswith("-") or args[:2] == ["completion", "words"])
    return args[-1] in VERSION and not value
