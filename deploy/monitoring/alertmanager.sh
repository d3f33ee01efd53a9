#!/bin/sh
# Starts the Alertmanager with the receiver that .env names: ALERT_WEBHOOK_URL, or nobody.
set -eu

receiver=nobody
if [ -n "${ALERT_WEBHOOK_URL:-}" ]; then
    receiver=webhook
fi
(umask 077 && printf '%s' "${ALERT_WEBHOOK_URL:-}" >/tmp/webhook-url)
unset ALERT_WEBHOOK_URL
sed "s/^  receiver: nobody$/  receiver: $receiver/" /start/alertmanager.yml >/tmp/alertmanager.yml
exec "${ALERTMANAGER:-/bin/alertmanager}" --config.file=/tmp/alertmanager.yml --storage.path=/alertmanager "$@"
