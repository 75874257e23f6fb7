#!/usr/bin/env bash
# Is a simulator with a broken protocol caught?   bash tests/sim/weak.sh PROGRAM
#
# Caught means that a run fails (1) or that an assertion ends it (128 and above). 2 is a wrong call, 126 and 127
# no program: those prove nothing.
set -uo pipefail
epochs="lite --crash 80 --epoch-blocks 4 --observers 0 --loss 20 --byzantine 0 --validators 4"
for runs in "liars --count 40" "twins --scheduled 1 --count 400" "lite --count 60" "$epochs --count 200" \
    "twins --count 1500" "lite --seed 1000 --count 400"; do
    # shellcheck disable=SC2086  # profile and count are two words
    "$1" --stop --profile $runs
    code=$?
    if [ $code -eq 1 ] || [ $code -ge 128 ]; then
        exit 0
    fi
done
echo "weak.sh: not caught (last exit status $code)"
exit 1
