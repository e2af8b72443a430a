"""The `prodrec` script: as quiet after a Ctrl-C in the first second, while libraries are imported, as later."""

from __future__ import annotations

import sys

from prodrec.core.base.errors import Interrupted
from prodrec.core.base.stop_signals import RECEIVED, handle_signals
from prodrec.core.base.streams import MESSAGES


def main() -> None:
    """Import the commands and run one.

    SIGTERM ends a command as Ctrl-C does, so incomplete output is removed. After either, the exit code is that of
    Interrupted.
    """
    handle_signals()
    try:
        from prodrec.cli.app import main as run

        run()
    except (KeyboardInterrupt, ImportError):
        if not RECEIVED:
            raise
        sys.exit(Interrupted.exit_code)
    except OSError as error:  # of an import; a command prints its own
        MESSAGES.write(f"error: prodrec cannot be started: {error}.\n")
        sys.exit(1)
