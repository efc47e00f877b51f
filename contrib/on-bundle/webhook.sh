#!/bin/sh
# A command for --on-bundle: posts what spikebox finds in a bundle to $SPIKEBOX_WEBHOOK, as the JSON document
# of spikebox analyze. docs/on-bundle.md says how it is set up, and what a chat wants instead.
set -eu
: "${SPIKEBOX_WEBHOOK:?is not set: the address that bundles are posted to}"
findings=$(mktemp)
trap 'rm -f "$findings"' EXIT
# Exit code 3 says that evidence is missing, which the document says as well.
spikebox analyze --json "$SPIKEBOX_BUNDLE" >"$findings" || test $? -eq 3
# Headers end at a line feed, which a host's name cannot hold; the reason of a trigger can, and is in the document.
curl --silent --show-error --fail --max-time 30 --retry 3 \
	--header 'Content-Type: application/json' --header "X-Spikebox-Host: $SPIKEBOX_HOST" --header "X-Spikebox-Bundle: ${SPIKEBOX_BUNDLE##*/}" \
	--data-binary "@$findings" "$SPIKEBOX_WEBHOOK"
