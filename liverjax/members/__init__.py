"""Members: one network of one fold, seed and trial each, dealt over devices."""

from liverjax.members.member import Member, folder_of, of_study
from liverjax.members.networks import (
    Network,
    load_best,
    load_network,
    predict_arrays,
    with_best,
)
from liverjax.members.run_folder import Run, check_network, every_member, open_run
from liverjax.members.seats import Seat
from liverjax.members.training import Ended, train_member, train_members
from liverjax.members.trials import make_trials, write_trials

__all__ = [
    "Ended",
    "Member",
    "Network",
    "Run",
    "Seat",
    "check_network",
    "every_member",
    "folder_of",
    "load_best",
    "load_network",
    "make_trials",
    "of_study",
    "open_run",
    "predict_arrays",
    "train_member",
    "train_members",
    "with_best",
    "write_trials",
]
