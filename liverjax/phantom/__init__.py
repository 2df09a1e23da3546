"""A synthetic cohort whose truth is known: score, signs, masks and motions.

`make_subject` makes one examination in memory, `write_cohort` a cohort on disk,
`apply_motion` the other phases of a real scan by a known motion.
"""
