#!/bin/sh
# Installs quiesced on this host, as root. Run it again to upgrade: what is there already is kept, and no hold is dropped.
#
#   install.sh [--archive FILE] [--address ADDRESS] [--root DIR]
#   install.sh --upgrade [--archive FILE]
#   install.sh --uninstall [--purge]
#
#   --archive FILE     quiesced.pyz; by default beside this script, else ../build/quiesced.pyz (make package)
#   --address ADDRESS  where the function reaches this host (IP address or name); by default its first own address
#   --root DIR         install below DIR and leave this host alone
#   --upgrade          replace program and service of an installation, and touch no configuration
#   --uninstall        stop the service when nothing is held, and remove it; the configuration stays, unless with --purge
#   --only-configure   make user, key, certificate and configuration where they are missing, and nothing else
set -eu
umask 077
# The system's own programs before any that a user put in front of them.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
archive=
address=
root=${DPKG_ROOT:-}
verb=install
purge=

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
    --upgrade | --uninstall | --only-configure)
        [ "$verb" = install ] || fail "--$verb and $1 exclude each other"
        verb=${1#--}
        shift
        ;;
    --purge)
        purge=yes
        shift
        ;;
    -h | --help)
        sed -n '2,15s/^# \{0,1\}//p' "$0"
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
    example=$here/quiesced.example.toml
    [ -f "$example" ] || example=$etc/quiesced.example.toml # where the Debian package puts it
    for key in "$etc/keys"/*; do key_id=${key##*/}; done
    sed -e "s|^host = .*|host = \"$address\"|" \
        -e "s|^\"2026-11\" = .*|\"$key_id\" = \"/etc/quiesced/keys/$key_id\"|" \
        "$example" >"$etc/quiesced.toml.new"
    mv "$etc/quiesced.toml.new" "$etc/quiesced.toml"
    echo "wrote /etc/quiesced/quiesced.toml: name your applications there, then run: quiesced check"
}

place_program() {
    (umask 022 && mkdir -p "$root/opt/quiesced" "$root/usr/local/sbin" "$root/etc/systemd/system")
    # Beside the old one: it takes its place when nothing is held. Compiled for this Python; where that fails, as it is.
    "$python" -I -S -B "$archive" precompile "$program.new" 2>/dev/null || cp "$archive" "$program.new"
    chmod 0755 "$program.new"
    printf '#!/bin/sh\nexec %s -I -S -B /opt/quiesced/quiesced.pyz "$@"\n' "$python" >"$root/usr/local/sbin/quiesced"
    chmod 0755 "$root/usr/local/sbin/quiesced"
    sed "s|/usr/bin/python3 |$python |" "$here/quiesced.service" >"$root/etc/systemd/system/quiesced.service"
    chmod 0644 "$root/etc/systemd/system/quiesced.service"
}

has_systemd() {
    [ -d "$root/run/systemd/system" ]
}

start_service() {
    has_systemd && systemctl daemon-reload
    DPKG_ROOT=$root sh "$here/service.sh" switch "$python" "$program.new" "$program"
    has_systemd || return 0
    systemctl enable --quiet quiesced.service
    # A first start waits until the configuration names this host's applications.
    systemctl --quiet is-active quiesced.service || echo "start it with: systemctl start quiesced"
}

configure() {
    command -v openssl >/dev/null || fail "openssl is needed to make the key and the certificate"
    [ -n "$address" ] || find_address
    check_address
    (umask 022 && mkdir -p "$root/etc")
    mkdir -p "$etc/keys" "$etc/tls"
    chmod 0700 "$etc" "$etc/keys" "$etc/tls"
    make_user
    make_key
    make_certificate
    write_config
    give_files
}

uninstall() {
    if [ -f "$program" ]; then
        remove_program
    elif [ -z "$purge" ] || [ ! -d "$etc" ] || is_package; then
        fail "not installed by this script: $program is missing"
    fi
    if [ -n "$purge" ]; then
        rm -rf "$etc" "$root/etc/systemd/system/quiesced.service.d" "$root/run/quiesced"
        if [ -z "$root" ] && id quiesced >/dev/null 2>&1; then userdel quiesced; fi
    fi
    echo "removed quiesced"
}

is_package() {
    [ -f "$root/usr/share/quiesced/quiesced.pyz" ]
}

remove_program() {
    find_python
    DPKG_ROOT=$root sh "$here/service.sh" stop "$python" "$program"
    if has_systemd; then systemctl --quiet disable quiesced.service; fi
    rm -rf "$root/opt/quiesced" "$root/usr/local/sbin/quiesced" "$root/etc/systemd/system/quiesced.service"
    if has_systemd; then systemctl daemon-reload; fi
}

install_or_upgrade() {
    [ -n "$archive" ] || find_archive
    [ -f "$archive" ] || fail "no such file: $archive"
    if is_package; then
        fail "quiesced was installed as a package; upgrade it with: dpkg -i"
    fi
    [ "$verb" = install ] || [ -f "$program" ] || fail "nothing to upgrade: $program is missing"
    find_python
    [ "$verb" = upgrade ] || configure
    place_program
    start_service
    echo "installed quiesced with $python"
}

etc=$root/etc/quiesced
program=$root/opt/quiesced/quiesced.pyz
[ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail "run it as root, or stage it with --root DIR"
[ -z "$purge" ] || [ "$verb" = uninstall ] || fail "--purge goes with --uninstall"
case $verb in
install | upgrade) install_or_upgrade ;;
only-configure) configure ;;
uninstall) uninstall ;;
esac
