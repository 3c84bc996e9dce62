#!/usr/bin/env bash
# Makes the encrypted files of the demo's story with the real sops, from example-repo/base/payments.sops.yaml and its
# throw-away keys. Run it again after example-repo/make-secrets.sh. Needs sops on the path.
#
#   new-token/      the value of API_TOKEN is another one, as `sops edit` leaves the file
#   re-encrypted/   the same values under a new data key, as `sops rotate` leaves it
#   broken-mac/     a merge by hand lost a line: every value still decrypts, but the file is not what was encrypted
set -euo pipefail
cd "$(dirname "$0")"
shop=$(cd ../../../../example-repo && pwd)
export SOPS_AGE_KEY_FILE=$shop/keys/staging.txt
file=payments.sops.yaml

cp "$shop/base/$file" new-token/
sops set "new-token/$file" '["stringData"]["API_TOKEN"]' '"canary-d20b-base-payments-token"'

cp "new-token/$file" re-encrypted/
sops rotate --in-place "re-encrypted/$file"

grep -v ' WEBHOOK_SECRET:' "re-encrypted/$file" >"broken-mac/$file"
