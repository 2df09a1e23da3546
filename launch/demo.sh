#!/usr/bin/env bash
# Installs, then runs the Child-Pugh study on a synthetic cohort made on the spot.
# Arguments go to the study, such as --workdir=runs/other or --config.train.epochs=5.
set -euo pipefail
cd "$(dirname "$0")/.."
bash launch/install.sh
exec "${LIVERJAX_VENV:-.venv}/bin/python" -m liverjax.main \
    --config=configs/cp_ct.py:demo --workdir=runs/demo "$@"
