#!/usr/bin/env bash
# A Dask cluster of N worker processes on this machine, for one command.
#
#   bash launch/local.sh 2 python -m liverjax.main --config=configs/cp_ct.py:demo
#
# The command is given --scheduler=FILE. On a machine with GPUs each worker sees one:
# worker i the i-th of CUDA_VISIBLE_DEVICES, or of all, so N is at most their number.
# Ctrl-C and SIGTERM go to the command alone, which saves; then the cluster is ended.
set -euo pipefail
count="$1"; shift
bin="$(cd "$(dirname "$0")/.." && pwd)/${LIVERJAX_VENV:-.venv}/bin"
[ -n "${LIVERJAX_VENV:-}" ] && bin="$LIVERJAX_VENV/bin"
gpus=()
if command -v nvidia-smi >/dev/null \
    && found="$(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null)"; then
    IFS=, read -ra gpus <<<"${CUDA_VISIBLE_DEVICES-${found//$'\n'/,}}"
fi
if [ "${#gpus[@]}" -gt 0 ] && [ "$count" -gt "${#gpus[@]}" ]; then
    echo "error: $count workers for ${#gpus[@]} GPUs (${gpus[*]}); expected at most one a GPU" >&2
    exit 1
fi
folder="$(mktemp -d)"
command=""
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$folder"' EXIT
tell() { [ -n "$command" ] || exit 1; kill "$@" 2>/dev/null || true; }
trap 'tell -INT -- "-$command"' INT # its children too, as a terminal does
trap 'tell -TERM "$command"' TERM HUP
# In a session of its own: out of a terminal's reach, and not deaf to Ctrl-C, as bash
# makes what it starts in the background.
apart() {
    exec "$bin/python" -c 'import os, signal, sys
os.setsid()
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' "$@"
}

apart "$bin/dask" scheduler --host 127.0.0.1 --port 0 --no-dashboard \
    --scheduler-file "$folder/scheduler.json" >"$folder/scheduler.log" 2>&1 &
for i in $(seq 0 $((count - 1))); do
    own=()
    if [ "${#gpus[@]}" -gt 0 ]; then own=("CUDA_VISIBLE_DEVICES=${gpus[$i]}"); fi
    apart env "${own[@]}" "$bin/dask" worker --scheduler-file "$folder/scheduler.json" \
        --nthreads 1 --nworkers 1 --no-dashboard --death-timeout 60 --memory-limit 0 \
        --local-directory "$folder" >"$folder/worker$i.log" 2>&1 &
done
apart "$@" "--scheduler=$folder/scheduler.json" &
command=$!
status=0
wait "$command" || status=$?
# A signal ends the wait before the command has saved.
while kill -0 "$command" 2>/dev/null; do wait "$command" || status=$?; done
if [ "$status" -ne 0 ]; then tail -n 20 "$folder"/*.log >&2; fi
exit "$status"
