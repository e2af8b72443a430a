"""Libraries print nothing of their own, and prodrec and its caller do again afterwards."""

from __future__ import annotations

import logging
import sys
import warnings

import pytest

from prodrec.inference.export.quiet import quiet


def test_only_errors_are_reported_inside(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    logger = logging.getLogger("noisy")
    with quiet("noisy"):
        sys.stdout.write("progress")
        warnings.warn("a warning", stacklevel=1)
        logger.warning("something")
        logger.error("an error")
    assert not capsys.readouterr().out and not recwarn.list
    assert [record.message for record in caplog.records] == ["an error"]
    logger.warning("something")
    sys.stdout.write("result")
    assert capsys.readouterr().out == "result" and caplog.records[-1].message == "something"
