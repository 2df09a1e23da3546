"""Judgement: from tables of predictions to metrics, figures and a page.

Needs numpy, scipy and matplotlib; neither jax nor SimpleITK.
"""

from liverjax.report.judgement import judge
from liverjax.report.run import judge_run
from liverjax.report.tables import Predictions, read_predictions, write_predictions

__all__ = [
    "Predictions",
    "judge",
    "judge_run",
    "read_predictions",
    "write_predictions",
]
