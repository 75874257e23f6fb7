#!/usr/bin/env bash
# kill -9 under load; see e2e_kill.py.
exec python3 "$(dirname "$0")/e2e_kill.py" "${1:-build}"
