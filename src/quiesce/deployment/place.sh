# On an instance, as root: puts program, shared key and certificate in their places. $encrypted is the shared secret, encrypted to
# the key that enrol.sh made here; it is decrypted into its file and nowhere else.
set -eu
umask 077
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
work=$root/run/quiesced-install
etc=$root/etc/quiesced

fail() {
    echo "$*" >&2
    exit 1
}

[ -d "$work" ] || fail "there is no $work; begin anew"
trap 'rm -rf "$work"' EXIT

cat "$work"/piece.* >"$work/bundle.tar.gz" 2>/dev/null || fail "no piece of the program has come"
found=$(sha256sum <"$work/bundle.tar.gz" | cut -d' ' -f1)
[ "$found" = "$digest" ] || fail "the program that came is not the one that was sent: sha256 $found"
mkdir "$work/bundle"
tar -xzf "$work/bundle.tar.gz" -C "$work/bundle"

[ -z "$root" ] || mkdir -p "$root/etc"
mkdir -p "$etc/keys" "$etc/tls"
printf '%s' "$encrypted" | base64 -d >"$work/encrypted"
openssl pkeyutl -decrypt -inkey "$work/transport-key.pem" -in "$work/encrypted" -out "$work/secret" \
    -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256 2>/dev/null ||
    fail "the shared key cannot be decrypted; begin anew"
mv "$work/secret" "$etc/keys/$key_id"
[ -f "$etc/tls/private-key.pem" ] || mv "$work/private-key.pem" "$etc/tls/private-key.pem"
printf '%s' "$certificate" >"$etc/tls/certificate.pem.new"
mv "$etc/tls/certificate.pem.new" "$etc/tls/certificate.pem"

sh "$work/bundle/install.sh" --archive "$work/bundle/quiesced.pyz" --address "$address" ${root:+--root "$root"}

grep -q "^\"$key_id\" *=" "$etc/quiesced.toml" ||
    echo "remark: add to [keys] in /etc/quiesced/quiesced.toml: \"$key_id\" = \"/etc/quiesced/keys/$key_id\""
[ "$start" != yes ] || [ -n "$root" ] || systemctl start quiesced.service
