#!/usr/bin/env bash
# Holds a running node's metrics and API description against tools that others wrote.
#
#   bash tests/api_lint.sh BUILD_DIR API_URL METRICS_URL
#
# promtool comes from Debian's package prometheus; redocly and spectral from npm, installed under
# BUILD_DIR; they need node 20. What is missing and cannot be installed (old node, no network) is reported and skipped, unless
# CAIRN_REQUIRE_LINT=1. Exit 0: everything that ran is clean.
set -euo pipefail
[ $# -eq 3 ] || { echo "usage: bash tests/api_lint.sh BUILD_DIR API_URL METRICS_URL" >&2; exit 2; }
work=$1/api-lint
api=${2%/}
metrics=${3%/}
mkdir -p "$work"
bad=0

skip() {
    echo "api_lint: skipped: $1"
    [ "${CAIRN_REQUIRE_LINT:-0}" = 0 ] || bad=1
}

curl -fsS --max-time 20 "$metrics/metrics" -o "$work/metrics.txt"
curl -fsS --max-time 20 "$api/openapi.json" -o "$work/openapi.json"

if command -v promtool >/dev/null; then
    promtool check metrics <"$work/metrics.txt" || bad=1
else
    skip "promtool is not installed (package prometheus)"
fi

# node_tool PACKAGE VERSION BINARY installs a tool once.
node_tool() {
    [ -x "$work/node_modules/.bin/$3" ] && return 0
    command -v npm >/dev/null || return 1
    [ "$(node --version | sed -E 's/^v([0-9]+).*/\1/')" -ge 20 ] || return 1
    [ -e "$work/package.json" ] || echo '{"private":true}' >"$work/package.json"
    (cd "$work" && npm install --no-fund --no-audit --ignore-scripts --loglevel=error "$1@$2" >/dev/null)
}

if node_tool @redocly/cli 2.77.0 redocly; then
    # Its recommended rules; warnings count too.
    if ! (cd "$work" && REDOCLY_TELEMETRY=off node_modules/.bin/redocly lint openapi.json \
        --max-problems 50 >redocly.txt 2>&1) || grep -q 'You have [0-9]* warning' "$work/redocly.txt"; then
        cat "$work/redocly.txt"
        bad=1
    fi
else
    skip "redocly cannot be installed"
fi

if node_tool @stoplight/spectral-cli 6.16.3 spectral; then
    printf 'extends: ["spectral:oas"]\n' >"$work/ruleset.yaml"
    (cd "$work" && node_modules/.bin/spectral lint openapi.json --ruleset ruleset.yaml \
        --fail-severity=warn) || bad=1
else
    skip "spectral cannot be installed"
fi

[ "$bad" -eq 0 ] && echo "api_lint: metrics and description are clean"
exit "$bad"
