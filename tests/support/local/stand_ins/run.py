"""The supervisor with the programs of this folder instead of the real ones."""

import sys
from pathlib import Path

from deploy.local.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], root=Path(__file__).parent))
