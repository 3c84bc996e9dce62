#!/usr/bin/env bash
# Makes every *.sops.yaml of the example shop with the real sops. Run it from anywhere: ./make-secrets.sh
#
# Nothing here is secret: every value is made up and carries `canary-`, so that a test can search for it
# wherever it must never appear. A real repository has no such script: there one runs `sops edit FILE`.
#
# The keys were made once, with `age-keygen -o keys/staging.txt` (and so on), and their public halves
# were written into .sops.yaml. sops needs only the public halves to encrypt. Each run makes new data keys, so all
# files change, although no value does.
set -euo pipefail
cd "$(dirname "$0")"

# encrypt FILE: standard input becomes FILE, encrypted to whom .sops.yaml says. No cleartext touches the disk.
encrypt() {
  sops encrypt --input-type yaml --output-type yaml --filename-override "$1" /dev/stdin >"$1.new" || {
    rm -f "$1.new"
    exit 1
  }
  mv "$1.new" "$1"
}

# --- base: for both environments ---------------------------------------------------------------------------------

encrypt base/registry.sops.yaml <<'YAML'
# The account that pulls images.
apiVersion: v1
kind: Secret
metadata:
    name: registry
    labels:
        app.kubernetes.io/part-of: shop
type: kubernetes.io/dockerconfigjson
stringData:
    .dockerconfigjson: '{"auths":{"registry.example.com":{"username":"shop","password":"canary-5b0e-base-registry-password"}}}'
YAML

encrypt base/payments.sops.yaml <<'YAML'
# The payment provider's test account. Production has its own: envs/production/payments.sops.yaml
apiVersion: v1
kind: Secret
metadata:
    name: payments
    labels:
        app.kubernetes.io/name: checkout
        app.kubernetes.io/part-of: shop
type: Opaque
stringData:
    API_TOKEN: canary-c41d-base-payments-token
    # shared with the provider, who signs each call with it
    WEBHOOK_SECRET: canary-90ab-base-payments-webhook
YAML

# --- staging and production: the same objects, other values, other recipients ------------------------------------

# environment NAME MARK: MARK makes the values of two environments different
environment() {
  encrypt "envs/$1/db.sops.yaml" <<YAML
apiVersion: v1
kind: Secret
metadata:
    name: db
    labels:
        app.kubernetes.io/part-of: shop
type: Opaque
stringData:
    PASSWORD: canary-$2-$1-db-password
    CATALOG_URL: postgres://catalog:canary-$2-$1-db-password@db.$1.example.com:5432/catalog
    CHECKOUT_URL: postgres://checkout:canary-$2-$1-db-password@db.$1.example.com:5432/checkout
YAML

  # Two documents in one file, and `data` (base64) beside `stringData`.
  encrypt "envs/$1/services.sops.yaml" <<YAML
apiVersion: v1
kind: Secret
metadata:
    name: cart-store
    labels:
        app.kubernetes.io/name: cart-store
        app.kubernetes.io/part-of: shop
type: Opaque
stringData:
    PASSWORD: canary-$2-$1-cart-store-password
---
apiVersion: v1
kind: Secret
metadata:
    name: receipt-signing
    labels:
        app.kubernetes.io/name: checkout
        app.kubernetes.io/part-of: shop
type: Opaque
data:
    signing.key: $(printf 'canary-%s-%s-receipt-signing-key' "$2" "$1" | base64 -w0)
YAML
}

environment staging 7f3a
environment production e2d8

# Merged into base/payments.sops.yaml key by key, so both keys of the test account are replaced.
encrypt envs/production/payments.sops.yaml <<'YAML'
apiVersion: v1
kind: Secret
metadata:
    name: payments
stringData:
    API_TOKEN: canary-e2d8-production-payments-token
    WEBHOOK_SECRET: canary-e2d8-production-payments-webhook
YAML

# --- branches: `$patch: replace` stands for the whole object, so that what base has of it is not decrypted --------

encrypt branches/services.sops.yaml <<'YAML'
# The account that pulls images, for branches: it can read, and nothing else.
apiVersion: v1
kind: Secret
metadata:
    name: registry
$patch: replace
type: kubernetes.io/dockerconfigjson
stringData:
    .dockerconfigjson: '{"auths":{"registry.example.com":{"username":"shop-branches","password":"canary-31ba-branches-registry-password"}}}'
---
apiVersion: v1
kind: Secret
metadata:
    name: payments
$patch: replace
type: Opaque
stringData:
    API_TOKEN: canary-31ba-branches-payments-token
    WEBHOOK_SECRET: canary-31ba-branches-payments-webhook
---
# One database for all branches, with nothing in it that anybody would miss.
apiVersion: v1
kind: Secret
metadata:
    name: db
    labels:
        app.kubernetes.io/part-of: shop
type: Opaque
stringData:
    CATALOG_URL: postgres://catalog:canary-31ba-branches-db-password@db.preview.example.com:5432/catalog
    CHECKOUT_URL: postgres://checkout:canary-31ba-branches-db-password@db.preview.example.com:5432/checkout
YAML

echo "made: $(ls base/*.sops.yaml envs/*/*.sops.yaml branches/*.sops.yaml | wc -l) files" >&2
