"""`python -m prodrec` is the same as `prodrec`."""

from prodrec.cli.start import main

main()
