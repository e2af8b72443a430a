"""One module per step of the journey: what a command runs and a notebook calls.

Each module has the function that `import prodrec` exposes (`prodrec.train` is `pipeline.train.train`). It takes paths
and plain values, joins data, models and evaluation, and returns an object. Commands in `prodrec.cli` only read options
and print the result.
"""
