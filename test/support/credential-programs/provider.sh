#!/bin/sh
# A credential provider for kubelet (credentialprovider.kubelet.k8s.io/v1): appends what it was asked to the file ASKED, with
# its arguments and SHOAL_CANARY, and answers with the file ANSWER. With CODE it ends so, after a word about the secret.
{ printf '%s %s ' "$*" "${SHOAL_CANARY-unset}"; cat; printf '\n'; } >> "$ASKED"
cat "$ANSWER"
[ -z "$CODE" ] || { echo "my secret is canary-stderr" >&2; exit "$CODE"; }
