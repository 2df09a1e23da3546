#!/usr/bin/env bash
# Installs, then runs the tests: the quick tier, or everything with --all.
# Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
bash launch/install.sh
bin="${LIVERJAX_VENV:-.venv}/bin"
"$bin/ruff" check .
"$bin/ruff" format --check --quiet .
exec "$bin/python" -m pytest "$@"
