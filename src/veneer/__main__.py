"""`python -m veneer`: the same as `veneer`."""

import sys

from veneer.cli import main

if __name__ == "__main__":
    sys.exit(main())
