"""`prodrec gallery`: a scores file and its dataset in, a contact sheet of classified photos out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console
from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch

EXAMPLES = """
Examples:

- `prodrec gallery` draws photos of the only file in `scores/`, at random, to `gallery.png`
- `prodrec gallery scores/visual.h5 dataset --only errors --out errors.png` shows the most confident errors: often
  products under a wrong category
- `prodrec gallery visual --leaf Belts --sort unsure --columns 10 --rows 3 --out belts.svg`
- `prodrec gallery visual --level root --only errors --json` lists them for other programs as well
"""


@command("gallery", epilog=EXAMPLES)
def gallery_command(
    scores: Annotated[
        Path | None,
        typer.Argument(help="Scores file, or its name in scores/. [default: the only one]", show_default=False),
    ] = None,
    dataset: Annotated[Path, typer.Argument(help="The dataset that was scored.")] = Path("dataset"),
    out: Annotated[Path, typer.Option(help="Picture to write: .png, .svg or .pdf.")] = Path("gallery.png"),
    split: Annotated[str, typer.Option(help="Split: train, test or validation.")] = "test",
    only: Annotated[str, typer.Option(help="all, errors or right.")] = "all",
    sort: Annotated[
        str | None,
        typer.Option(help="random, confident or unsure. [default: random; confident for errors]", show_default=False),
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="Level that is judged. [default: the deepest scored]", show_default=False)
    ] = None,
    leaf: Annotated[str | None, typer.Option(help="Only photos of this leaf, by their true class.")] = None,
    root: Annotated[str | None, typer.Option(help="Only photos of this root, by their true class.")] = None,
    columns: Annotated[int, typer.Option(min=1, max=20, help="Photos beside each other.")] = 8,
    rows: Annotated[int, typer.Option(min=1, max=50, help="Photos below each other.")] = 5,
    seed: Annotated[int, typer.Option(help="Draws other photos at random.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a picture that exists already.")] = False,
) -> dict[str, Any]:
    """Draw photos with their predicted class and its probability; errors have a red frame, a cross and the true class.

    A confident error is worth a look: the model may be wrong, or the label.
    """
    from prodrec.eval.gallery import Wanted

    wanted = Wanted(split, level, only, sort, leaf, root, columns * rows, seed)
    found = gallery(_find(scores), dataset, out, wanted, columns=columns, force=force)
    console.print(
        f"wrote {out}: {len(found['photos']):,} of {found['images']:,} photos, of which {found['errors']:,} wrong"
    )
    return found


def gallery(
    scores: Path, dataset: Path, out: Path, wanted: Any, *, columns: int = 8, force: bool = False
) -> dict[str, Any]:
    """Draw the photos of `scores` that are `wanted` (an eval.gallery.Wanted) to `out`; the photos as plain values.

    Raises Mismatch where the scores are of another dataset, and what `choose` and `draw_gallery` raise; then nothing
    is written.
    """
    from prodrec.core.base.artefact import refuse_if_taken
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.scores.reader import open_scores
    from prodrec.eval.gallery import choose
    from prodrec.eval.plots.contact_sheet import draw_gallery
    from prodrec.eval.plots.style import check_format

    check_format(out, option="--out")
    refuse_if_taken(out, kind="gallery", force=force)
    with open_scores(scores) as file:
        data = open_dataset(dataset)
        if file.origin.made_from.get("dataset") != data.fingerprint:
            raise Mismatch(
                f"{scores} is not of {dataset} as it is now; name the dataset that was scored, or score the run again."
            )
        if data.photos is None:
            raise BadArtefact(f"{dataset} holds {data.inputs} in place of photos: there is nothing to draw.")
        found = choose(file, wanted)
    if max(photo.row for photo in found.photos) >= len(data):
        raise BadArtefact(f"{scores} has rows beyond the {len(data):,} of {dataset}; score the run again.")
    lacking = draw_gallery(found, data.photos.decode, out, columns=columns, force=force)
    if lacking and out.suffix.lower() != ".svg":
        console.warn(f"no font here has {lacking[:20]}: {out} shows boxes; install one (Noto Sans CJK), or write .svg.")
    return {**found.as_json(), "out": str(out)}


def _find(scores: Path | None) -> Path:
    """The file that is meant: a path, a name in scores/, or without either the only file there."""
    if scores is not None:
        named = Path("scores") / f"{scores}.h5"
        return named if not scores.exists() and named.is_file() else scores
    from prodrec.eval.report.report import find_scores

    found = find_scores(Path("scores"))
    if len(found) > 1:
        raise BadOption(f"scores holds {', '.join(path.name for path in found)}; name the one to look at.")
    return found[0]
