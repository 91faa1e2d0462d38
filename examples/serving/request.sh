#!/usr/bin/env bash
# Ask about an image with curl alone:   request.sh IMAGE [URL]
# With --body-only in the place of URL the request's body is printed and not sent (for load tests).
set -euo pipefail
if [ ! -r "${1:-}" ]; then
  echo "usage: $0 IMAGE [URL | --body-only]${1:+; cannot read $1}" >&2
  exit 2
fi
url=${2:-http://localhost:8501/v1/models/demo}

body() {
  printf '{"signature_name": "serve_bytes", "instances": [{"image_bytes": {"b64": "%s"}}]}' \
    "$(base64 < "$1" | tr -d '\n')"
}

if [ "$url" = --body-only ]; then
  body "$1"
else
  body "$1" | curl --silent --show-error --fail-with-body --data @- "$url:predict"
fi
