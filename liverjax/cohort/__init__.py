"""What a prepared cohort is: its files, records, splits and checks against leaks.

Needs numpy and array_record only; every other part of the package may read it.
"""
