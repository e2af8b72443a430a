"""`python -m prodrec` is the same as `prodrec`."""

from prodrec.cli.app import main

main()
