"""`make bench`, `python -m bench relay`, `python -m bench rest`."""

from __future__ import annotations

import argparse
import signal
import sys

from . import relay, rest


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    kinds = parser.add_subparsers(dest="kind", required=True)
    relay.arguments(kinds.add_parser("relay", help="the relay beside the OpenTelemetry Collector and nginx"))
    kinds.add_parser("rest", help="the sidecar at rest beside bare Python")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended on the way out
    return relay.main(options) if options.kind == "relay" else rest.main()


if __name__ == "__main__":
    sys.exit(main())
