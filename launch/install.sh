#!/usr/bin/env bash
# Installs liverjax into its own environment (.venv, or $LIVERJAX_VENV) and nothing else.
# The one place that chooses jax: its CUDA wheels when an NVIDIA GPU is there.
set -euo pipefail
cd "$(dirname "$0")/.."
venv="${LIVERJAX_VENV:-.venv}"
python="${PYTHON:-python3}"

"$python" - <<'P' || { echo "error: Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
P

extra=""
if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then
    # CUDA 13 wheels need driver 580 or newer.
    driver="$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)"
    if [ "${driver%%.*}" -ge 580 ]; then extra="[cuda13]"; else extra="[cuda12]"; fi
fi

stamp="$(cat requirements.txt pyproject.toml launch/install.sh <(echo "$extra") | sha256sum | cut -d' ' -f1)"
if [ "$(cat "$venv/installed" 2>/dev/null || true)" = "$stamp" ]; then
    exit 0
fi
echo "installing into $venv (jax$extra)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
sed "s/^jax==/jax${extra}==/" requirements.txt > "$venv/requirements.txt"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$venv/requirements.txt"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --editable .
echo "$stamp" > "$venv/installed"
