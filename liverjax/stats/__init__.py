"""Statistics: arrays in, frozen dataclasses out; one family a file, each a leaf.

Every result carries ``estimate, low, high, p, method, n`` (`Estimate`); what a method
does not give is NaN. Intervals by bootstrap come from row weights that
`resampling.subject_weights` draws once and every statistic of a table shares.
"""
