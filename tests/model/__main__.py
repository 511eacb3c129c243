"""The long form of the model test: `python -m tests.model --sequences 10000 --seed 1`.

Sequence n is made from seed + n. The first that breaks a promise is printed with its shortest form, and ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence

from tests.model.search import search


def main(argv: Sequence[str]) -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.model", description="Play sequences against the file source."
    )
    options.add_argument("--sequences", type=int, default=1000)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options.add_argument("--child", action="store_true", help="each life of the source is a process, ended by SIGKILL")
    given = options.parse_args(argv)
    sys.stdout.write(f"{given.sequences} sequences from seed {given.seed}\n")
    sys.stdout.flush()
    if found := asyncio.run(search(given.seed, given.sequences, given.child)):
        sys.stdout.write(f"{found}\n")
        return 1
    sys.stdout.write("every promise was kept\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
