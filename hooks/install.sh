#!/bin/sh
# Installs quiesced on this host, as root. Run it again to upgrade: what is there already is kept.
#
#   install.sh [--archive FILE] [--address ADDRESS] [--root DIR]
#
#   --archive FILE     quiesced.pyz; by default beside this script, else ../build/quiesced.pyz (make package)
#   --address ADDRESS  where the function reaches this host (IP address or name); by default its first own address
#   --root DIR         install below DIR and leave this host alone
set -eu
umask 077
# The system's own programs before any that a user put in front of them.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
archive=
address=
root=

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
    --archive | --address | --root)
        [ $# -ge 2 ] || fail "$1 needs a value"
        case $1 in
        --archive) archive=$2 ;;
        --address) address=$2 ;;
        --root) root=${2%/} ;;
        esac
        shift 2
        ;;
    -h | --help)
        sed -n '2,8s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) fail "unknown option $1; see --help" ;;
    esac
done

find_archive() {
    for candidate in "$here/quiesced.pyz" "$here/../build/quiesced.pyz"; do
        [ -f "$candidate" ] && archive=$candidate && return
    done
    fail "no quiesced.pyz found; run make package, or name it with --archive"
}

# The daemon needs Python 3.9; a host's python3 may be older and a newer one beside it.
find_python() {
    for candidate in python3 python3.13 python3.12 python3.11 python3.10 python3.9; do
        python=$(command -v "$candidate") || continue
        if "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
            return
        fi
    done
    fail "no Python 3.9 or newer found; install one (python39 on TencentOS and RHEL 8)"
}

find_address() {
    address=$(hostname -I 2>/dev/null | cut -d' ' -f1) || address=
    [ -n "$address" ] || fail "cannot tell the address of this host; name it with --address"
}

check_address() {
    case $address in
    *[!0-9A-Za-z.:-]*) fail "not an IP address or host name: $address" ;;
    *:*) name=IP:$address ;;
    *[!0-9.]*) name=DNS:$address ;;
    *) name=IP:$address ;;
    esac
}

# The daemon's own user: no password, no shell, no home. On another root there is nobody to make it for.
make_user() {
    [ -z "$root" ] || return 0
    id quiesced >/dev/null 2>&1 && return
    nologin=$(command -v nologin) || nologin=/bin/false
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell "$nologin" quiesced ||
        fail "the system user quiesced could not be made; make it by hand, then run this again"
    echo "made the system user quiesced"
}

# Root owns the configuration and the daemon's group reads it: the daemon cannot change what it is told.
give_files() {
    [ -z "$root" ] || return 0
    chown -R root:quiesced "$etc"
    chmod -R u=rwX,g=rX,o= "$etc"
}

make_key() {
    for key in "$etc/keys"/*; do
        [ -f "$key" ] && return
    done
    key_id=$(date -u +%Y-%m)
    openssl rand -hex 32 >"$etc/keys/$key_id.new"
    mv "$etc/keys/$key_id.new" "$etc/keys/$key_id"
    echo "made a shared key: /etc/quiesced/keys/$key_id"
    echo "  give the function QUIESCE_HOOK_KEY=$key_id:<content of that file>"
}

make_certificate() {
    [ -f "$etc/tls/certificate.pem" ] && [ -f "$etc/tls/private-key.pem" ] && return
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days 825 \
        -subj "/CN=quiesced" -addext "subjectAltName=$name" \
        -keyout "$etc/tls/private-key.pem.new" -out "$etc/tls/certificate.pem.new" 2>/dev/null ||
        fail "openssl could not make a certificate for $name (1.1.1 or newer is needed)"
    mv "$etc/tls/private-key.pem.new" "$etc/tls/private-key.pem"
    mv "$etc/tls/certificate.pem.new" "$etc/tls/certificate.pem"
    echo "made a certificate for $name: /etc/quiesced/tls/certificate.pem"
    echo "  add it to the file that the function's QUIESCE_HOOK_CA names"
}

write_config() {
    [ -f "$etc/quiesced.toml" ] && return
    for key in "$etc/keys"/*; do key_id=${key##*/}; done
    sed -e "s|^host = .*|host = \"$address\"|" \
        -e "s|^\"2026-11\" = .*|\"$key_id\" = \"/etc/quiesced/keys/$key_id\"|" \
        "$here/quiesced.example.toml" >"$etc/quiesced.toml.new"
    mv "$etc/quiesced.toml.new" "$etc/quiesced.toml"
    echo "wrote /etc/quiesced/quiesced.toml: name your applications there, then run: quiesced check"
}

place_program() {
    (umask 022 && mkdir -p "$root/opt/quiesced" "$root/usr/local/sbin" "$root/etc/systemd/system")
    # Beside the old one and renamed over it: a running daemon keeps the file that it has open.
    cp "$archive" "$root/opt/quiesced/quiesced.pyz.new"
    chmod 0755 "$root/opt/quiesced/quiesced.pyz.new"
    mv "$root/opt/quiesced/quiesced.pyz.new" "$root/opt/quiesced/quiesced.pyz"
    printf '#!/bin/sh\nexec %s -I -B /opt/quiesced/quiesced.pyz "$@"\n' "$python" >"$root/usr/local/sbin/quiesced"
    chmod 0755 "$root/usr/local/sbin/quiesced"
    sed "s|/usr/bin/python3 |$python |" "$here/quiesced.service" >"$root/etc/systemd/system/quiesced.service"
    chmod 0644 "$root/etc/systemd/system/quiesced.service"
}

start_service() {
    [ -z "$root" ] && [ -d /run/systemd/system ] || return 0
    systemctl daemon-reload
    systemctl enable --quiet quiesced.service
    # A first start waits until the configuration names this host's applications.
    systemctl try-restart quiesced.service
    systemctl --quiet is-active quiesced.service || echo "start it with: systemctl start quiesced"
}

[ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail "run it as root, or stage it with --root DIR"
command -v openssl >/dev/null || fail "openssl is needed to make the key and the certificate"
[ -n "$archive" ] || find_archive
[ -f "$archive" ] || fail "no such file: $archive"
find_python
[ -n "$address" ] || find_address
check_address

etc=$root/etc/quiesced
(umask 022 && mkdir -p "$root/etc")
mkdir -p "$etc/keys" "$etc/tls"
chmod 0700 "$etc" "$etc/keys" "$etc/tls"
make_user
make_key
make_certificate
write_config
give_files
place_program
start_service
echo "installed quiesced with $python"
