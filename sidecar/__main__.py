"""`python -m sidecar` is the command `outrider`."""

import sys

from .cli import main

sys.exit(main())
