"""Statistics: arrays in, frozen dataclasses out; one family a file, each a leaf.

Every result carries ``estimate, low, high, p, method, n`` (`Estimate`); what a method
does not give is NaN. Intervals by bootstrap come from row weights that
`resampling.subject_weights` draws once and every statistic of a table shares.

What a function does not accept (a missing value, an absent class) it refuses with a
`ValueError`; leave such rows out first and say how many. Rows are independent subjects
unless a function takes ``subject``.

- Classes: `classification`, `diagnostic` (2 x 2), `proportions`, `agreement`.
- Scores against yes or no: `roc`, `roc_curve`, `roc_tests`; against several classes:
  `roc_multiclass`, `ordinal`.
- Two models on the same rows: `roc_tests`, `paired`, `predictive_values`.
- Probabilities: `calibration`, `calibration_groups`, `decision_curve`, `lowess`.
- Numbers: `rank_correlation`, `correlation`, `measurement`.
- Cohort tables: `groups`, `exact_tables`, `regression`, `multiplicity`.
- Masks and lesions: `segmentation`, `detection`. Times: `survival`, `cox`.
"""
