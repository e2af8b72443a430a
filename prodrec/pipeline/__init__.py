"""One module for each step from a table to a report; commands and notebooks call its function.

`import prodrec` exposes these functions: `prodrec.train` is `prodrec.pipeline.train.train`. Each takes paths and plain
values, runs one step, and returns an object. The commands in `prodrec.cli` only read options and print the result.
"""
