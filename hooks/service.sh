#!/bin/sh
# Changes or stops the service without dropping a hold: for install.sh and the Debian package, as root.
#
#   service.sh switch PYTHON NEW PROGRAM   put NEW in the place of PROGRAM and restart, when nothing is held
#   service.sh stop PYTHON PROGRAM         stop, when nothing is held; refuse (exit 1) when something stays held
#
# While either is at it nothing can be held: the daemon answers "busy" (quiesced when-idle). QUIESCED_WAIT_S says how long to
# wait for that moment, 60 s by default. DPKG_ROOT, as dpkg sets it, is where the files lie.
set -eu
root=${DPKG_ROOT:-}
config=$root/etc/quiesced/quiesced.toml
wait_s=${QUIESCED_WAIT_S:-60}

# Only a service that runs can hold.
is_running() {
    [ -d "$root/run/systemd/system" ] && systemctl --quiet is-active quiesced.service
}

when_idle() {
    runner=$1
    shift
    "$python" -I -S -B "$runner" when-idle --config "$config" "$@"
}

switch() {
    new=$1
    program=$2
    if ! is_running; then
        mv "$new" "$program"
        return
    fi
    # The program changes at the restart and not before: a daemon starts its guardian from this file.
    swap='mv "$1" "$2" && { systemctl try-restart quiesced.service || exit 7; }'
    status=0
    when_idle "$new" --wait-s "$wait_s" sh -c "$swap" sh "$new" "$program" || status=$?
    case $status in
    0) echo "restarted quiesced" ;;
    1)
        systemd-run --quiet --collect --unit=quiesced-switch \
            "$python" -I -S -B "$new" when-idle --config "$config" --wait-s 86400 sh -c "$swap" sh "$new" "$program"
        echo "something is held: the new version starts as soon as it is let go (systemctl status quiesced-switch)"
        ;;
    2)
        echo "the old version goes on: the new one cannot use $config" >&2
        return 1
        ;;
    *)
        echo "quiesced could not be restarted; see: systemctl status quiesced" >&2
        return 1
        ;;
    esac
}

stop() {
    program=$1
    is_running || return 0
    status=0
    when_idle "$program" --wait-s "$wait_s" sh -c 'systemctl stop quiesced.service || exit 7' || status=$?
    case $status in
    0) ;;
    1)
        echo "something is held, so quiesced stays; see: quiesced status, quiesced release LEASE" >&2
        return 1
        ;;
    2) systemctl stop quiesced.service ;; # nobody can look; stopping lets go in order
    *)
        echo "quiesced could not be stopped; see: systemctl status quiesced" >&2
        return 1
        ;;
    esac
}

verb=$1
python=$2
shift 2
"$verb" "$@"
