#!/bin/sh
# Writes the locks anew from pyproject.toml. The hashes are what holds; no index is named.
set -eu
cd "$(dirname "$0")/.."
lock() { # name, extras ...
	name=$1
	shift
	echo "setuptools>=77" | uv pip compile --quiet --no-emit-index-url --generate-hashes --python-version 3.11 \
		--universal --no-annotate --no-emit-package outrider --custom-compile-command "requirements/lock.sh" \
		"$@" pyproject.toml - -o "requirements/$name.txt"
}
lock run
lock collector --extra collector
lock demo --extra demo
lock dev --extra dev
