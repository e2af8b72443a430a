"""The `prodrec` script: as quiet after a Ctrl-C in the first second, while libraries are imported, as later."""

from __future__ import annotations

import sys

from prodrec.core.base.stop_signals import INTERRUPTED, RECEIVED, handle_signals


def main() -> None:
    """Import the commands and run one. Ctrl-C or SIGTERM meanwhile end the process with exit code INTERRUPTED."""
    handle_signals()
    try:
        from prodrec.cli.app import main as run

        run()
    except (KeyboardInterrupt, ImportError):
        if not RECEIVED:
            raise
        sys.exit(INTERRUPTED)
