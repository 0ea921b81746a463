# On an instance: prints what there is of quiesced. Changes nothing.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
etc=$root/etc/quiesced
program=$root/opt/quiesced/quiesced.pyz

if [ -f "$program" ]; then
    echo "program=$(sha256sum <"$program" | cut -d' ' -f1)"
else
    echo "program="
fi
echo "keys=$(cd "$etc/keys" 2>/dev/null && echo *)"
ends=$(openssl x509 -noout -enddate -in "$etc/tls/certificate.pem" 2>/dev/null) || ends=
echo "certificate_ends=${ends#notAfter=}"
if [ -z "$root" ]; then
    echo "service=$(systemctl is-active quiesced.service 2>/dev/null)"
    /usr/local/sbin/quiesced check >/dev/null 2>&1
    echo "check=$?"
fi
