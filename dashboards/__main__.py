"""`python -m dashboards` writes the JSON; `--check` only compares and exits 1 on drift."""

from __future__ import annotations

import argparse
import sys

from .build import GENERATED, drift, write


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on drift")
    if not parser.parse_args(argv).check:
        write(GENERATED)
        return 0
    if difference := drift(GENERATED):
        print(difference, end="")
        print("dashboards/generated is not what the code builds; run: python -m dashboards", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
