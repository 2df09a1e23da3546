"""One command runs a study: ``python -m liverjax.main --config=configs/cp_ct.py``.

From images and a table (or a synthetic cohort) to a cross-validated report in
``--workdir``. Run it again after a stop: it goes on where it stood.
"""

from __future__ import annotations

import dataclasses

from absl import flags

from liverjax import config, experiment, study_flags, together
from liverjax.errors import run_command

WORKDIR = flags.DEFINE_string(
    "workdir", None, "The run folder; config.workdir if absent."
)
SCHEDULER = flags.DEFINE_string(
    "scheduler", None, "A Dask cluster that prepares and trains: its address or file."
)


def main() -> int:
    """Runs the study; returns the exit status."""
    study = config.with_absolute_paths(study_flags.parse())
    if WORKDIR.value:
        study = dataclasses.replace(study, workdir=WORKDIR.value)
    if study.mesh.span and not SCHEDULER.value:
        outcome = together.run(study)
    else:
        outcome = experiment.run(study, scheduler=SCHEDULER.value)
    print(outcome.message)
    return outcome.status


if __name__ == "__main__":
    run_command(main)
