"""`prodrec explain`: a run and photo files in, what the run says of each out, and where it looks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.cli.score import load_network
from prodrec.cli.score_places import read_places
from prodrec.core.base import console
from prodrec.core.base.errors import BadArtefact, BadOption, BadPhoto

if TYPE_CHECKING:
    from prodrec.inference.recognise import Recognised, Recogniser

EXAMPLES = """
Examples:

- `prodrec explain sicot shoe.jpg` prints the five best classes of every level
- `prodrec explain ssmtl-ca photos/*.jpg --saliency --out look/` draws where the network looks, for each photo
- `prodrec explain runs/sicot shoe.jpg --title "Nike Air Max"` shows how much each word of the title weighs
- `prodrec explain sicot shoe.jpg --title "Nike Air Max" --with-titles --top 3 --json` lets the title count as well
"""


@command("explain", epilog=EXAMPLES)
def explain_command(
    run: Annotated[Path, typer.Argument(help="Run directory, or its name in runs/.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE…", help="Photo files of any format.")],
    saliency: Annotated[
        bool, typer.Option("--saliency", help="Draw the weights of the spatial attention over each photo.")
    ] = False,
    title: Annotated[str | None, typer.Option(help="Title of the product: weigh its words.")] = None,
    with_titles: Annotated[
        bool, typer.Option("--with-titles", help="Let the title count for the deepest level too.")
    ] = False,
    top: Annotated[int, typer.Option(min=1, help="Best classes of every level that are shown.")] = 5,
    out: Annotated[
        Path | None, typer.Option(help="Directory for pictures. [default: explain]", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace pictures that exist already.")] = False,
) -> dict[str, Any]:
    """Recognise photos that need not be in any dataset: the best classes of every level, and each attribute's state.

    The photo alone is used, as in deployment, unless --with-titles is given.
    """
    if out is not None and not saliency:
        raise BadOption(f"--out {out} is the place for the pictures of --saliency; add it, or leave --out out.")
    if with_titles and title is None:
        raise BadOption('--with-titles needs the title: give it with --title "…".')
    asked: dict[str, Any] = {"title": title, "with_titles": with_titles, "top": top}
    place = (out or Path("explain")) if saliency else None
    found = explain(_find(run), images, pictures=place, device=device, force=force, **asked)
    for photo, recognised, picture in found:
        _say(photo, recognised, picture)
    photos = [
        {"photo": str(photo), **recognised.as_json(), **({"picture": str(picture)} if picture else {})}
        for photo, recognised, picture in found
    ]
    return {"run": str(run), "photos": photos}


def explain(
    run: Path,
    images: Sequence[Path],
    *,
    pictures: Path | None = None,
    title: str | None = None,
    with_titles: bool = False,
    top: int = 5,
    device: str = "auto",
    force: bool = False,
) -> list[tuple[Path, Recognised, Path | None]]:
    """What `run` says of every photo file, and the picture of where it looks, drawn into the directory `pictures`.

    All photos are recognised before the first picture is drawn. Raises NotFound, BadPhoto, OutputExists, BadArtefact,
    and BadOption for titles or saliency of a run that has no part for them.
    """
    from prodrec.core.base.artefact import refuse_if_taken
    from prodrec.inference.recognise import read_bytes

    places = _picture_names(images, pictures) if pictures is not None else [None] * len(images)
    for place in places:
        if place is not None:
            refuse_if_taken(place, kind="explain", force=force)
    for image in images:
        if not image.is_file():
            read_bytes(image)  # says what is wrong with it before the network is loaded
    recogniser = open_recogniser(run, device=device, titles=title is not None, saliency=pictures is not None)
    found = []
    with console.progress("recognising photos", total=len(images), unit="photos") as advance:
        for image in images:
            try:
                recognised = recogniser.recognise(
                    read_bytes(image), title=title, with_titles=with_titles, top=top, saliency=pictures is not None
                )
            except BadPhoto as error:
                raise BadPhoto(f"{image}: {error}") from error
            found.append(recognised)
            advance()
    for image, recognised, place in zip(images, found, places, strict=True):
        if place is not None:
            _draw(image, recognised, place, force=force)
    return list(zip(images, found, places, strict=True))


def open_recogniser(run: Path, *, device: str = "auto", titles: bool = False, saliency: bool = False) -> Recogniser:
    """The network of a finished run, ready to recognise. Raises NotFound, BadArtefact.

    titles, saliency: whether its parts for them will be asked for; raises BadOption where it has none.
    """
    from prodrec.core.base.device import choose_device
    from prodrec.core.training.run import open_run
    from prodrec.inference.recognise import Recogniser
    from prodrec.models.families import Recipe

    opened = open_run(run)
    if not opened.finished:
        how = f"`prodrec train {opened.family} --resume --out {run}`"
        raise BadArtefact(f"{run} is not finished; go on with {how}.")
    if opened.feature_width is not None:
        raise BadOption(f"{run} was trained on feature vectors, not photos: it cannot recognise photo files.")
    recipe = Recipe.from_json(opened.recipe, where=str(run))
    if titles and recipe.network.titles is None:
        raise BadOption(f"--title: {run} was trained on photos alone and weighs no words; leave --title out.")
    if saliency and recipe.network.attention is None:
        raise BadOption(
            f"--saliency: {run} has no spatial attention; train a family that has (sscnn), or with attention=spatial."
        )
    chosen, trained = choose_device(device), opened.header["arithmetic"]
    channels_last = bool(trained["channels_last"])
    network = load_network(opened, recipe, chosen, channels_last=channels_last)
    return Recogniser(opened, network, recipe.photos, chosen, trained["dtype"] == "bfloat16", channels_last)


def _find(run: Path) -> Path:
    runs, _ = read_places([run], None)
    if not runs:
        raise BadOption(f"{run} is a dataset; expected a run directory, or the name of a run in runs/.")
    return runs[0]


def _picture_names(images: Sequence[Path], directory: Path) -> list[Path]:
    """NAME-saliency.png for every photo; photos of one name in several folders get numbers."""
    names: list[str] = []
    for image in images:
        tries = [f"{image.stem}-saliency.png", *(f"{image.stem}-{n}-saliency.png" for n in range(2, len(images) + 2))]
        names.append(next(name for name in tries if name not in names))
    return [directory / name for name in names]


def _draw(image: Path, recognised: Recognised, place: Path, *, force: bool) -> None:
    from prodrec.eval.plots.contact_sheet import percent
    from prodrec.eval.plots.explanation import draw_saliency

    assert recognised.saliency is not None
    seen = recognised.saliency
    best = [(level, predictions[0]) for level, predictions in recognised.levels.items()]
    best += [(name, states[0]) for name, states in recognised.attributes.items()]
    lacking = draw_saliency(
        recognised.photo_CHW,
        seen.weights_hw,
        seen.rows,
        seen.columns,
        place,
        title=image.name,
        note=" · ".join(f"{what}: {first.name} {percent(first.confidence)}" for what, first in best),
        force=force,
    )
    if lacking:
        console.warn(f"no font here has {lacking[:20]}: {place} shows boxes; install one, such as Noto Sans CJK.")


def _say(photo: Path, recognised: Recognised, picture: Path | None) -> None:
    from prodrec.core.base.taxonomy import PATH_SEPARATOR
    from prodrec.eval.plots.contact_sheet import percent

    console.print(str(photo))
    for level, predictions in recognised.levels.items():
        console.print(f"  {level}")
        for found in predictions:
            console.print(f"    {percent(found.confidence):>5}  {PATH_SEPARATOR.join(found.path)}")
    if recognised.attributes:
        console.print("  attributes")
        for name, states in recognised.attributes.items():
            console.print(f"    {percent(states[0].confidence):>5}  {name}: {states[0].name}")
    if recognised.words is not None:
        console.print("  weights of the title's words")
        for word in recognised.words:
            weight = "    –" if word.weight is None else f"{word.weight:5.2f}"
            console.print(f"    {weight}  {word.word}{' (not in the vocabulary)' if word.weight is None else ''}")
        if not recognised.words:
            console.print("    (the title has no words)")
    if picture is not None:
        console.print(f"  wrote {picture}")
