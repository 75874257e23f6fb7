# Sourced by tools/quickstart.sh and tests/run.sh: installs the Debian packages that are missing.
# Works as root and as a user with sudo, says what it does before it does it, and needs no network
# when everything is there.

CAIRN_BUILD_PACKAGES="cmake ninja-build gcc libc6-dev pkg-config git liburing-dev libsodium-dev
libssl-dev libxxhash-dev libzstd-dev libmicrohttpd-dev libjansson-dev libcurl4-openssl-dev
libyaml-dev libutf8proc-dev"

# need_packages NAME... installs those that dpkg does not report as installed.
need_packages() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
    done
    [ "${#missing[@]}" -eq 0 ] && return 0
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "cairn: these packages are missing and neither root nor sudo is available: ${missing[*]}" >&2
            return 1
        }
        as_root=(sudo)
    fi
    echo "cairn: installing Debian packages: ${missing[*]}"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
