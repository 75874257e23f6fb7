#!/usr/bin/env bash
# The main job on real input; see e2e_job.py.
exec python3 "$(dirname "$0")/e2e_job.py" "${1:-build}"
