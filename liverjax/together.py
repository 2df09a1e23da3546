"""The protocol of a study whose networks are each trained by all processes at once."""

from __future__ import annotations

import pathlib

from liverjax import config, experiment, members, runtime
from liverjax.cohort import files, schema, splits
from liverjax.config import StudyConfig
from liverjax.experiment import RunOutcome
from liverjax.members import spanning

SPLITS = "splits.json"


def run(study: StudyConfig) -> RunOutcome:
    """Runs a study from images to report, as each of the processes that are joined.

    The stages before and after the members belong to the first process; the others
    wait for its files and then make the same calls as it does.

    Raises:
        InputError: As `liverjax.experiment.run`, and if the processes do not find each
            other, see different files, or one of them is lost.
    """
    folder = pathlib.Path(study.workdir)
    if (folder / "DONE").exists():
        return experiment.run(study)
    rank = runtime.join()
    try:
        experiment.check_study(study)
        if not rank:
            experiment.claim_folder(folder, study=study)
        with spanning.lost_process_is_told():
            spanning.check_shared(folder)
        cohort, folds = _follow(folder, study) if rank else _lead(folder, study)
        every = members.every_member(study, folds=folds)
        with spanning.lost_process_is_told():
            spanning.check_same(
                {
                    "config": config.identity(study),
                    SPLITS: files.sha256_file(folder / SPLITS),
                    "cohort.json": cohort.fingerprint,
                    "weights": experiment.weights_hash(study),
                }
            )
            groups = runtime.start(len(every), span=True)
            if not rank:
                files.write_json(folder / "environment.json", runtime.facts(groups))
            ended = members.train_members(folder, every, groups=groups, span=True)
    except BaseException:
        runtime.leave_at_once()
        raise
    runtime.leave()
    if ended.stopped:
        return experiment.stopped(folder, ended)
    if rank:
        return RunOutcome(0, f"process {rank} is done; process 0 writes the report")
    return experiment.finish(folder, study=study, folds=folds, every=every)


def _lead(
    folder: pathlib.Path, study: StudyConfig
) -> tuple[schema.Cohort, tuple[splits.Fold, ...]]:
    cohort = experiment.prepare(folder, study=study)
    return cohort, experiment.split(folder, study=study, cohort=cohort)


def _follow(
    folder: pathlib.Path, study: StudyConfig
) -> tuple[schema.Cohort, tuple[splits.Fold, ...]]:
    spanning.wait_for(folder / SPLITS)
    path = pathlib.Path(study.cohort.path or folder / "cohort")
    return schema.open_cohort(path), splits.read_splits(folder / SPLITS)
