"""Comparison of recipes on the same images, each with one or several seeds.

A column is a recipe with its seeds. The gain of a column over another has the interval of the report, over images and
seeds, and the p value that belongs to it (`eval/report/seed_intervals.py` has the equations): with two columns, a
difference is claimed if and only if the report's interval excludes 0.

With more columns, the p values of all pairs are corrected by Holm (1979), each measure by itself as Demšar (2006)
does: the chance that any difference of a measure is claimed wrongly is at most 5 %.

McNemar's exact test (1947) is added for ACC, for each pair of runs with the same seed: of the images on which they
differ, is one right more often?
"""
