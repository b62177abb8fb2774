"""`python -m eagerbench`: the same as the command `eagerbench`."""

import sys

from eagerbench.cli import main

sys.exit(main())
