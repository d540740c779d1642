#!/usr/bin/env bash
# Fills data/ with the tables that some densities need, from packages that ship them; `make data` calls this.
# Needs python3 with pip (PyPI) and, for all but the breast-cancer table, apt-get with dpkg-deb (Debian, Ubuntu).
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 -B scripts/fetch_data.py "$@"
