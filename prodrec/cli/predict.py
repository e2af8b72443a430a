"""The command `prodrec predict`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.cli.run_options import ByOption, Engine, NoNeighbours, OnePoint, RunOfIndex
from prodrec.core.base import console
from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.scoring_views import CENTRE
from prodrec.core.data.tables.columns import AUTO_GROUPS

if TYPE_CHECKING:
    from prodrec.pipeline.predict import Predicted

EXAMPLES = """
Examples:

- `prodrec predict visual shoe.jpg` prints the class of a photo with its category path and its probability
- `prodrec predict visual photos/ --csv answers.csv` recognises every photo of a folder
- `prodrec predict visual photos/ --precision 0.95` answers only as exactly as it is right for 95 % of validation photos
- `prodrec predict visual front.jpg side.jpg --pool` recognises one product by two photos
- `prodrec predict visual photos/ --engine openvino` lets OpenVINO compute, which is faster on most CPUs
- `prodrec predict index shoe.jpg` prints the nearest products of an index too, whose classes count as well
- `prodrec predict index shoe.jpg --by products` recognises by the nearest products alone
- `prodrec predict visual products.csv --images photos/ --csv answers.csv` adds the answer to each row of a table
- `prodrec predict visual products.csv --pool --csv answers.csv` has a row for each product, from all of its photos
- `find incoming -name "*.jpg" | prodrec predict visual - --json > answers.jsonl` writes a line of JSON for each photo

A probability is that of the class among all classes of its level. It was made to agree with how often the run is right
on validation photos. The answer is the class of the deepest level that is sure enough: with `--precision 0.95`, a photo
whose leaf is doubtful gets the class above it, and one that no level is sure of gets none.
"""

COLUMNS = ("photo", "level", "class", "confidence", "path", "problem")


@command("predict", epilog=EXAMPLES)
def predict_command(
    run: Annotated[
        Path, typer.Argument(metavar="RUN|INDEX", help="Run directory, its name in runs/, or an index of products.")
    ],
    photos: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTO…|TABLE", help="Photo files, folders of them, - for names on standard input, or one table."
        ),
    ],
    min_confidence: Annotated[float, typer.Option(help="Smallest probability of an answer, from 0 to 1.")] = 0.0,
    precision: Annotated[
        float | None,
        typer.Option(help="Share of the answers that shall be right, from 0 to 1; by validation photos."),
    ] = None,
    pool: Annotated[
        bool,
        typer.Option("--pool", help="One answer for the photos, or for each product of a table: mean of the scores."),
    ] = False,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the photos that a table names. [default: that of the table]")
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the table with the names of photos.")
    ] = None,
    group_by: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of the table by which rows are one product, as in prepare.")
    ] = AUTO_GROUPS,
    top: Annotated[int, typer.Option(min=1, help="Best classes of every level in --json.")] = 1,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the answers to a CSV file.")] = None,
    operating_point: OnePoint = None,
    no_neighbours: NoNeighbours = False,
    views: Annotated[str, typer.Option(help="Views of every photo: centre, flip or five-crop.")] = CENTRE,
    by: ByOption = None,
    products: Annotated[int, typer.Option(min=1, help="With an index: number of nearest products.")] = 5,
    run_of_index: RunOfIndex = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos per batch.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    engine: Engine = TORCH,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that read photos. [default: by files and cores]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the CSV file if it exists.")] = False,
) -> Iterator[dict[str, Any]]:
    """Recognise photos: the category path of each, with a probability at every level.

    Photos that cannot be used are named, and the others are recognised. With --json, every photo is a line. The answers
    for a table have its columns too.
    """
    from prodrec.core.base.csv_cells import harmless
    from prodrec.core.base.outputs import new_file
    from prodrec.pipeline.predict import predict

    results = predict(
        run,
        photos,
        min_confidence=min_confidence,
        precision=precision,
        pool=pool,
        images=images,
        image=image,
        group_by=group_by,
        top=top,
        operating_point=operating_point,
        no_neighbours=no_neighbours,
        views=views,
        by=by,
        products=products,
        run_of_index=run_of_index,
        batch_size=batch_size,
        device=device,
        engine=engine,
        workers=workers,
    )
    with ExitStack() as stack:
        writer = None
        if csv_file is not None:
            partial = stack.enter_context(new_file(csv_file, kind="answers", force=force))
            file = stack.enter_context(partial.open("w", encoding="utf-8", newline=""))
            writer = csv.writer(file, lineterminator="\n")
        for number, result in enumerate(results):
            if writer is not None:
                if number == 0:
                    writer.writerow([harmless(name) for name in _columns(result.row)])
                writer.writerow([harmless(cell) for cell in (*result.row.values(), *_cells(result))])
            elif not console.json_mode():
                _print(result)
            for photo, reason in result.reasons.items():
                console.warn(f"{photo} is rejected: {reason}")
            yield result.as_json()
    if csv_file is not None:
        console.info(f"wrote {csv_file}")


def _print(result: Predicted) -> None:
    from prodrec.core.base.taxonomy import PATH_SEPARATOR
    from prodrec.eval.plots.contact_sheet import format_probability

    if result.recognised is None:
        return
    answer, parts = result.recognised.answer, []
    if answer is not None and answer.confidence is not None:
        steps = (f"{name} {format_probability(p)}" for name, p in zip(answer.path, answer.confidences, strict=True))
        parts.append(PATH_SEPARATOR.join(steps))
    elif answer is not None:
        parts.append("no answer is sure enough")
    for attribute, (best, *_) in result.recognised.attributes.items():
        parts.append(f"{attribute}: {best.name} {format_probability(best.confidence)}")
    console.print(f"{', '.join(map(str, result.files))}: {', '.join(parts)}")
    for product in result.recognised.products or ():
        title = f" {product.title}" if product.title else ""
        path = f" ({PATH_SEPARATOR.join(product.path)})" if product.path else ""
        console.print(f"  {product.cosine:.3f} {product.sku}{title}{path}")


def _columns(row: Mapping[str, str]) -> list[str]:
    """Return the header of the CSV file: the columns of the table, then COLUMNS, renamed where the table has them."""
    return [*row, *(f"predicted_{name}" if name in row else name for name in COLUMNS)]


def _cells(result: Predicted) -> tuple[str, ...]:
    """Return the cells of a line of the CSV file, in the order of COLUMNS."""
    from prodrec.core.base.taxonomy import PATH_SEPARATOR

    name, problem = "; ".join(map(str, result.files)), "; ".join(result.reasons.values())
    answer = None if result.recognised is None else result.recognised.answer
    if answer is None or answer.confidence is None:
        return name, "", "", "", "", problem
    return (
        name,
        answer.levels[-1],
        answer.path[-1],
        f"{answer.confidence:.4f}",
        PATH_SEPARATOR.join(answer.path),
        problem,
    )
