"""`python -m trustbench`."""

import sys

from trustbench.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
