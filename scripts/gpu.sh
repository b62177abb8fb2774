#!/bin/sh
# Fills what only a GPU machine can measure, in under 8 minutes: see docs/gpu.md.
#   PYTHON=python3 scripts/gpu.sh OUT_DIR [options]
root=$(cd "$(dirname "$0")/.." && pwd) || exit 4
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1 exec "${PYTHON:-python3}" -P -m scripts.gpu "$@"
