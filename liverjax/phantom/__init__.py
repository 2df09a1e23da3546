"""A synthetic cohort whose truth is known: score, signs, masks and motions.

`make_subject` makes one examination in memory, `cohort.write_cohort` a cohort on disk
(`python -m data_prep.phantom`), `apply_motion` and `imitate_phase` the other phases of
a real scan by a known motion.
"""

from liverjax.phantom.grid import Grid
from liverjax.phantom.motion import PhaseMotion, rigid_matrix
from liverjax.phantom.options import PhantomOptions
from liverjax.phantom.real_scan import apply_motion, find_still, imitate_phase
from liverjax.phantom.subject import Subject, make_subject

__all__ = [
    "Grid",
    "PhantomOptions",
    "PhaseMotion",
    "Subject",
    "apply_motion",
    "find_still",
    "imitate_phase",
    "make_subject",
    "rigid_matrix",
]
