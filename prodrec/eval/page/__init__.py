"""The page of a report: one HTML file that needs no network, for people who do not use the command line.

`build.build_page` assembles it. Every section has a module that computes its content as plain values, and a template of
the same name in `template/` that lays it out. `details.py` counts what the tables of a report do not need: confused
pairs, confidences and segments, in one pass and in memory that does not grow with the rows.

The size of the page depends on the category tree and on fixed budgets, not on the number of rows: lists have a largest
length, and photos are thumbnails up to a number of bytes.
"""
