#!/usr/bin/env bash
# A validator whose key is in another process; see e2e_signer.py.
exec python3 "$(dirname "$0")/e2e_signer.py" "${1:-build}"
