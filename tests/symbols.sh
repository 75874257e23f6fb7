#!/usr/bin/env bash
# What the fold can reach: apply, with all of log that it links, may call the functions listed here and no
# other, and holds no floating-point instruction. The rest of log calls nothing that depends on locale,
# time zone or a random source of the C library.
#
# The list is the contract of reliability by construction: whoever adds a name says why it cannot make two
# nodes differ. Objects are compiled here, since those of a release build hold no machine code before
# link time.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Name, and why it is harmless where it is not evident.
allowed() {
    sed 's/ *#.*//; /^$/d' <<'LIST'
calloc        # memory: short of it the owner stops
free
malloc
realloc
madvise
mmap          # apply/reserve: address space and zeroed pages
munmap
memcmp        # bytes and names
memcpy
memmove
memset
strcmp
strncmp
snprintf      # integers and names only: file names, texts of alarms
__assert_fail # never in apply on input; log's own bugs
qsort         # apply/scan, by paths, which are distinct: one order, however it is sorted
__divti3      # 128-bit integers, by the compiler
__udivti3
__umodti3
__popcountdi2
sodium_init
randombytes_buf # log/hash: the secret of hash_local, which places rows and orders nothing
crypto_generichash_blake2b_final
crypto_generichash_blake2b_init_salt_personal
crypto_generichash_blake2b_salt_personal
crypto_generichash_blake2b_update
crypto_scalarmult_ed25519_noclamp
crypto_sign_ed25519_detached
crypto_sign_ed25519_seed_keypair
crypto_sign_ed25519_verify_detached
SHA256_Final
SHA256_Init
SHA256_Transform
SHA256_Update
XXH3_64bits_withSeed
XXH3_128bits_withSeed
XXH3_64bits_withSeed_dispatch # the same values, by the widest vectors
XXH3_64bits_withSecret_dispatch # likewise, under a secret that a seed gave
XXH3_generateSecret_fromSeed
XXH3_128bits_withSeed_dispatch
LIST
}
banned='rand|srand|rand_r|random|srandom|drand48|lrand48|time|gettimeofday|localtime(_r)?|gmtime(_r)?|mktime'
banned+='|strftime|setlocale|newlocale|localeconv|strto[dfl]|strtold|ato[ifl]|strcoll|strxfrm|sscanf|fscanf'
banned+='|__isoc99_.*|__ctype_.*|toupper|tolower|isw.*|tow.*|hsearch|strerror'

compile() {
    gcc -std=c17 -D_GNU_SOURCE -O2 -fno-strict-aliasing -w -I. -c "$1" \
        -o "$work/$(dirname "$1")-$(basename "$1" .c).o"
}
export work
export -f compile
printf '%s\n' log/*.c apply/*.c | xargs -P "$(nproc)" -I{} bash -c 'compile {}'
ar rcs "$work/log.a" "$work"/log-*.o
ld -r -o "$work/fold.o" "$work"/apply-*.o "$work/log.a" # and with it what apply needs of log

bad=0
nm -u "$work/fold.o" | awk '{print $NF}' | grep -v '^_GLOBAL_OFFSET_TABLE_$' | sort >"$work/used"
if allowed | sort | comm -23 "$work/used" - | grep .; then
    echo "symbols: the fold reaches these, and the list does not say why it may"; bad=1
fi
# trace prints UTC in digits, chain_discard reads a number in a file name; neither knows a locale.
rest=$(ls "$work"/log-*.o | grep -v -E '/log-(trace|chain_discard)\.o$')
# shellcheck disable=SC2086 # a list of names
if nm -u $rest | awk 'NF == 2 {print $NF}' | sort -u | grep -x -E "$banned"; then
    echo "symbols: log calls these, which depend on locale, zone or chance"; bad=1
fi
if [ "$(uname -m)" = x86_64 ]; then
    float='v?(add|sub|mul|div|sqrt|rsqrt|rcp|max|min|round|dp|hadd|hsub|addsub|cmp[a-z]*|u?comi)(ss|sd|ps|pd)'
    float+='|v?cvt[a-z0-9]+|vf[a-z0-9]+|f[a-z][a-z0-9]*'
    if objdump -d --no-show-raw-insn "$work/fold.o" |
        awk '/^[0-9a-f]+ <.*>:$/ {name = $2} /^ +[0-9a-f]+:/ {print $2, name}' |
        grep -E "^($float) " | sort -u | head -n 20 | grep .; then
        echo "symbols: floating point in the fold"; bad=1
    fi
fi
[ "$bad" -eq 0 ] && echo "symbols: $(wc -l <"$work/used") functions reached, all of them listed; no floating point"
exit "$bad"
