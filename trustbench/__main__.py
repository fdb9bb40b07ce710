"""`python -m trustbench`."""

import sys

from trustbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
