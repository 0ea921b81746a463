# One piece of the program, to be put together by place.sh, which knows the digest of the whole.
set -eu
umask 077
work=$root/run/quiesced-install
[ -d "$work" ] || { echo "there is no $work; begin anew" >&2; exit 1; }
base64 -d >"$work/piece.$number" <<'PIECE'
