"""The command `prodrec uv`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console

EXAMPLES = """
Examples:

- `prodrec uv visits.csv` compares every variant with the first one in the table
- `prodrec uv visits.csv --control old --gain 3% --power 0.8` also prints the visitors that a gain of 3 % needs
- `prodrec uv daily.xlsx --visitors-column users --conversions-column buyers` reads counts of each day
- `prodrec uv log.parquet --visitor-column cookie --variant-column bucket --date-format %d/%m/%Y --json`
"""


@command("uv", epilog=EXAMPLES)
def uv_command(
    visits: Annotated[
        Path,
        typer.Argument(
            metavar="VISITS",
            help="Table with a row for each visit (visitor, variant, date, converted), or for each variant and day "
            "(variant, date, visitors, conversions).",
        ),
    ],
    control: Annotated[
        str | None,
        typer.Option(help="Variant with which the others are compared. [default: the first one]", show_default=False),
    ] = None,
    gain: Annotated[
        str | None,
        typer.Option(help="Print how many visitors this relative gain needs, such as 3%.", show_default=False),
    ] = None,
    power: Annotated[
        str | None,
        typer.Option(
            help="Probability of showing the gain of --gain, if it is real. [default: 0.8]", show_default=False
        ),
    ] = None,
    visitor_column: Annotated[
        str | None, typer.Option(help="Column with ids of visitors, one visit a row.", show_default=False)
    ] = None,
    variant_column: Annotated[
        str | None, typer.Option(help="Column with names of variants.", show_default=False)
    ] = None,
    date_column: Annotated[
        str | None, typer.Option(help="Column with dates, or dates and times.", show_default=False)
    ] = None,
    visitors_column: Annotated[
        str | None, typer.Option(help="Column with numbers of visitors, one variant and day a row.", show_default=False)
    ] = None,
    conversions_column: Annotated[
        str | None,
        typer.Option(
            help="Column with whether a visit converted, or with numbers of visitors who did.", show_default=False
        ),
    ] = None,
    date_format: Annotated[
        str | None, typer.Option(help="Format of the dates, such as %d/%m/%Y. [default: several]", show_default=False)
    ] = None,
) -> dict[str, Any]:
    """Compute the conversion rate of unique visitors (UV) by variant and day, and test the gain over the first variant.

    The rate is A eq. 2: trading visitors over visiting ones, each counted once a day. The relative gain has a 95 %
    interval and a two-sided test that take the days of a visitor together; with several variants, p values are
    corrected (Holm). Columns are found by their usual names. Bad rows are counted, and the first ones printed.
    """
    from prodrec.eval.conversion.render import terminal_parts
    from prodrec.pipeline.uv import uv

    comparison = uv(
        visits,
        control=control,
        gain=gain,
        power=power,
        visitor_column=visitor_column,
        variant_column=variant_column,
        date_column=date_column,
        visitors_column=visitors_column,
        conversions_column=conversions_column,
        date_format=date_format,
    )
    for part in terminal_parts(comparison):
        console.print(part)
    for note in comparison.notes:
        console.info(note)
    return comparison.as_json()
