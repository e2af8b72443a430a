"""Visits without a file: tables of counts, and of visitors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from prodrec.core.data.tables.visits import VisitorDays, Visits


def counts(visiting_VD: Any, trading_VD: Any) -> Visits:
    """A table of counts; the first variant is the control."""
    visiting_VD = np.asarray(visiting_VD)
    variants, days = visiting_VD.shape
    return Visits(
        path=Path("counts.csv"),
        variants=tuple("abcd"[:variants]),
        days=tuple(f"2026-11-{day + 1:02}" for day in range(days)),
        visiting_VD=visiting_VD,
        trading_VD=np.asarray(trading_VD),
        visitor_days=None,
        rows=visiting_VD.size,
        bad_rows=0,
        first_bad=(),
        notes=(),
    )


def of_visitors(rows: list[tuple[int, int, int, int]], *, variants: int = 2, days: int = 3) -> Visits:
    """A table of visits, from visitor, variant, day, and whether they are trading; each visitor-day once."""
    visitor_P, variant_P, day_P, is_trading_P = np.array(rows).T
    visiting_VD, trading_VD = np.zeros((variants, days), np.int64), np.zeros((variants, days), np.int64)
    np.add.at(visiting_VD, (variant_P, day_P), 1)
    np.add.at(trading_VD, (variant_P, day_P), is_trading_P)
    return replace(
        counts(visiting_VD, trading_VD),
        visitor_days=VisitorDays(visitor_P, variant_P, day_P, is_trading_P.astype(bool)),
    )
