#!/usr/bin/env bash
# Allocations that fail in the command line; see e2e_memory.py.
exec python3 "$(dirname "$0")/e2e_memory.py" "${1:-build}"
