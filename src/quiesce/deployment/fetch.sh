# The program from a URL; place.sh knows its digest, so the URL need not be trusted.
set -eu
umask 077
work=$root/run/quiesced-install
[ -d "$work" ] || { echo "there is no $work; begin anew" >&2; exit 1; }
if command -v curl >/dev/null; then
    curl -fsSL --max-time 240 -o "$work/piece.0000" "$url"
else
    wget -q -T 240 -O "$work/piece.0000" "$url"
fi
