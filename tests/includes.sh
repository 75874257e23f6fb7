#!/usr/bin/env bash
# Includes point downward only, and every public header compiles alone with both compilers.
set -euo pipefail
cd "$(dirname "$0")/.."
# folder -> what it may include besides itself
allowed() {
    case $1 in
    log) echo "log" ;;
    poc) echo "poc log" ;;
    apply) echo "apply poc log" ;;
    snapshot) echo "snapshot apply poc log" ;;
    replica) echo "replica snapshot apply poc log" ;;
    api) echo "api replica snapshot apply poc log" ;;
    tools) echo "tools api replica snapshot apply poc log" ;;
    esac
}
bad=0
for folder in log poc apply snapshot replica api tools; do
    may=" $(allowed "$folder") "
    while IFS=: read -r file line text; do
        target=$(sed -E 's/.*"([^"]+)".*/\1/' <<<"$text")
        top=${target%%/*}
        if [[ $target != */* ]]; then
            [ "$target" = cairn_version.h ] && continue # generated
            echo "$file:$line: includes \"$target\" without its folder"; bad=1
        elif [[ $may != *" $top "* ]]; then
            echo "$file:$line: $folder may not include $target"; bad=1
        elif [[ $target == *_internal.h && $top != "$folder" ]]; then
            echo "$file:$line: $target is internal to $top"; bad=1
        fi
    done < <(grep -n -E '^#include "' "$folder"/*.[ch] 2>/dev/null || true)
done
for header in log/*.h poc/*.h apply/*.h snapshot/*.h replica/*.h api/*.h tools/*.h; do
    [ -e "$header" ] || continue
    for compiler in gcc clang; do
        command -v "$compiler" >/dev/null || continue
        printf '#include "%s"\n' "$header" |
            "$compiler" -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -x c -fsyntax-only - ||
            { echo "$header does not compile alone with $compiler"; bad=1; }
    done
done
[ "$bad" -eq 0 ] && echo "includes point downward; every header compiles alone"
exit "$bad"
