#!/usr/bin/env bash
# One study for every combination of values, each in a run folder of its own.
#
#   bash launch/sweep.sh DIR model.name=resnet18,resnet50 train.batch_size=16,32 -- \
#       --config=configs/cp_ct.py [...]
#
# For what changes the program (networks, sizes, batches); numbers of the optimiser are
# tried inside one run by --config.train.trials. The runs share DIR/cohort, unless the
# flags name another; a run that is done is passed over. At the end DIR/sweep.csv has the
# selection score of each, by which to choose: the report's figures are for the chosen.
# START=echo shows the commands; START='sbatch launch/slurm/cluster.sbatch' submits them,
# and a last start without it writes the table.
set -euo pipefail
folder="$1"; shift
[ "${folder:0:1}" = / ] || folder="$PWD/$folder"
cd "$(dirname "$0")/.."
python="${LIVERJAX_VENV:-.venv}/bin/python"
runs=("")
while [ "${1:-}" != -- ]; do
    [ $# -gt 0 ] || { echo "error: expected -- before the study's own flags" >&2; exit 1; }
    name="${1%%=*}"; values="${1#*=}"; shift
    [ "$name" != "$values" ] || { echo "error: expected NAME=VALUE,VALUE" >&2; exit 1; }
    longer=()
    for run in "${runs[@]}"; do
        for value in ${values//,/ }; do longer+=("$run${run:+ }$name=$value"); done
    done
    runs=("${longer[@]}")
done
shift
for run in "${runs[@]}"; do
    flags=()
    for word in $run; do flags+=("--config.$word"); done
    ${START:-"$python" -m liverjax.main} "--config.cohort.path=$folder/cohort" "$@" \
        "${flags[@]}" "--workdir=$folder/${run// /,}"
done
found=("$folder"/*/trials.csv)
[ -e "${found[0]}" ] || exit 0
{
    echo "run,$(head -n 1 "${found[0]}")"
    for table in "${found[@]}"; do
        run="$(basename "$(dirname "$table")")"
        tail -n +2 "$table" | sed "s|^|\"$run\",|"
    done
} > "$folder/sweep.csv"
cat "$folder/sweep.csv"
