"""`make bench`, `python -m bench relay`, `python -m bench logs`, `python -m bench rest`."""

from __future__ import annotations

import argparse
import signal
import sys

from . import logs, relay, rest


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    kinds = parser.add_subparsers(dest="kind", required=True)
    relay.arguments(kinds.add_parser("relay", help="the relay beside the OpenTelemetry Collector and nginx"))
    logs.arguments(kinds.add_parser("logs", help="lines of logs beside the OpenTelemetry Collector"))
    kinds.add_parser("rest", help="the sidecar at rest beside bare Python")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended on the way out
    match options.kind:
        case "relay":
            return relay.main(options)
        case "logs":
            return logs.main(options)
        case _:
            return rest.main()


if __name__ == "__main__":
    sys.exit(main())
