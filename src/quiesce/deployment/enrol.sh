# On an instance, as root: makes what never leaves it, the key of the daemon's certificate and a key that the shared secret is
# encrypted to. Prints a certificate request, the public half of the second key, and what program is there.
set -eu
umask 077
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
work=$root/run/quiesced-install
etc=$root/etc/quiesced

command -v openssl >/dev/null || { echo "openssl is needed" >&2; exit 1; }
[ -n "$root" ] || [ "$(id -u)" -eq 0 ] || { echo "run it as root" >&2; exit 1; }
[ -z "$root" ] || mkdir -p "$root/run"
rm -rf "$work"
mkdir "$work"
trap '[ $? -eq 0 ] || rm -rf "$work"' EXIT

# A key that is in use stays: certificate and key then fit together whenever this is interrupted.
if [ -f "$etc/tls/private-key.pem" ]; then
    cp "$etc/tls/private-key.pem" "$work/private-key.pem"
else
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$work/private-key.pem" 2>/dev/null
fi
openssl req -new -sha256 -key "$work/private-key.pem" -subj /CN=quiesced
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out "$work/transport-key.pem" 2>/dev/null
openssl pkey -in "$work/transport-key.pem" -pubout
