"""`prodrec explain`: recognise photo files, and draw over them where the network looks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption, BadPhoto

if TYPE_CHECKING:
    from prodrec.core.base.console import Advance
    from prodrec.inference.recognise import Recogniser
    from prodrec.inference.results import Recognised

T = TypeVar("T")
POOLED_AT_ONCE = 32
"""Photos of a product that are in memory at a time."""
NAMES_OF_METHODS = {"attention": "its attention", "grad-cam": "it speaks for the class (Grad-CAM)"}


@dataclass(frozen=True)
class Explanation:
    """The predictions of a run for one photo file, or for several photos of one product.

    photo:   the file; of several, the first
    picture: the file with its saliency, or None
    pooled:  the files whose scores were averaged; empty for a photo by itself
    """

    photo: Path
    recognised: Recognised
    picture: Path | None
    pooled: tuple[Path, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec explain --json` prints them."""
        picture = {} if self.picture is None else {"picture": str(self.picture)}
        pooled = {"pooled": [str(photo) for photo in self.pooled]} if self.pooled else {}
        return {"photo": str(self.photo), **pooled, **self.recognised.as_json(), **picture}


@dataclass(frozen=True)
class ExplainResult:
    """The explanations of the photos, and the reasons why others could not be recognised."""

    explanations: list[Explanation]
    rejected: dict[Path | str, str]

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec explain --json` prints them."""
        rejected = [{"photo": str(photo), "reason": reason} for photo, reason in self.rejected.items()]
        return {"photos": [explanation.as_json() for explanation in self.explanations], "rejected": rejected}


def explain(
    run: str | Path,
    photos: Sequence[str | Path],
    *,
    saliency: bool = False,
    title: str | None = None,
    with_titles: bool = False,
    pool: bool = False,
    top: int = 5,
    out: str | Path | None = None,
    device: str = "auto",
    force: bool = False,
) -> ExplainResult:
    """Recognise photo files: the best classes of every level, and the state of every attribute.

    All photos are recognised before the first picture is drawn. One that cannot be read is rejected, with a warning.

    Args:
        run: run directory, or the name of a run in `runs/`.
        photos: photo files of any format, and folders of them.
        saliency: draw where the network looks over each photo: its spatial attention, or Grad-CAM of the best class
            of the deepest level if it has none, or a flat one.
        title: title of the product; the result has the weight of each word.
        with_titles: use the title too, to predict the deepest level; needs `title`.
        pool: treat the photos as photos of one product: one explanation, of the mean of their scores.
        top: number of best classes of every level.
        out: directory for the pictures of `saliency`; by default `explain`.
        device: auto, cpu, cuda or cuda:N.
        force: replace existing pictures.

    Raises:
        NotFound: if the run or a photo does not exist.
        BadPhoto: if no photo can be read and decoded, or a folder has none.
        BadArtefact: if the run is unfinished or damaged.
        OutputExists: if a picture exists and `force` is not set.
        BadOption: for options that contradict each other, or need titles or attention that the run does not have.
    """
    from prodrec.core.base.outputs import refuse_if_taken
    from prodrec.inference.photo_inputs import photo_files
    from prodrec.pipeline.load import load
    from prodrec.pipeline.scoring_targets import find_run

    if out is not None and not saliency:
        raise BadOption(f"--out {out} is the place for the pictures of --saliency; add it, or omit --out.")
    if with_titles and title is None:
        raise BadOption('--with-titles needs the title: give it with --title "…".')
    if pool and saliency:
        raise BadOption("--pool gives one result and --saliency a picture of each photo; omit one of them.")
    run = find_run(Path(run))
    files = photo_files([Path(photo) for photo in photos])
    pictures = _picture_names(files, Path(out or "explain")) if saliency else [None] * len(files)
    for picture in pictures:
        if picture is not None:
            refuse_if_taken(picture, kind="explain", force=force)
    recogniser = load(run, device=device, titles=title is not None)
    rejected: dict[Path | str, str] = {}
    titled = {"title": title, "with_titles": with_titles, "top": top}
    with console.progress("recognising photos", total=len(files), unit="photos") as advance:
        if pool:
            explanations = _pooled(recogniser, files, rejected, advance, **titled)
        else:
            one_by_one = zip(files, pictures, strict=True)
            explanations = _one_by_one(recogniser, one_by_one, rejected, advance, saliency=saliency, **titled)
    if not explanations:
        file, reason = next(iter(rejected.items()))
        more = f" (and {len(rejected) - 1} more)" if len(rejected) > 1 else ""
        raise BadPhoto(f"{file}{more}: {reason}")
    for file, reason in rejected.items():
        console.warn(f"{file} is rejected: {reason}")
    for explanation in explanations:
        if explanation.picture is not None:
            _draw(explanation, explanation.picture, force=force)
    return ExplainResult(explanations, rejected)


def _one_by_one(
    recogniser: Recogniser,
    files: Iterable[tuple[Path, Path | None]],
    rejected: dict[Path | str, str],
    advance: Advance,
    **options: Any,
) -> list[Explanation]:
    """Return the explanation of every photo, and add to `rejected` why some cannot be read."""
    from prodrec.inference.photo_inputs import read_bytes

    explanations = []
    for file, picture in files:
        try:
            explanations.append(Explanation(file, recogniser.recognise(read_bytes(file), **options), picture))
        except BadPhoto as error:
            rejected[file] = str(error)
        advance()
    return explanations


def _pooled(
    recogniser: Recogniser,
    files: Sequence[Path],
    rejected: dict[Path | str, str],
    advance: Advance,
    **options: Any,
) -> list[Explanation]:
    """Return one explanation for all photos, or none if `rejected` says of all why they cannot be read."""
    from prodrec.inference.read_views import read_views, usable_views

    reads = read_views(
        files,
        photos=recogniser.photos,
        views=recogniser.views,
        stored_side=recogniser.run.stored_side,
        batch_size=POOLED_AT_ONCE,
        workers=0,
    )
    counted = _advancing(itertools.chain.from_iterable(reads), advance)
    batches = usable_views(counted, rejected, batch_size=POOLED_AT_ONCE)
    recognised = recogniser.recognise_product(batches, recogniser.thresholds(), **options)
    good = tuple(file for file in files if file not in rejected)
    return [] if recognised is None else [Explanation(good[0], recognised, None, good)]


def _advancing(items: Iterable[T], advance: Advance) -> Iterator[T]:
    for item in items:
        yield item
        advance()


def _picture_names(photos: Sequence[Path], directory: Path) -> list[Path | None]:
    """Return NAME-saliency.png for every photo; photos of one name in several folders get numbers."""
    names: list[str] = []
    for photo in photos:
        numbered = (f"{photo.stem}-{number}-saliency.png" for number in range(2, len(photos) + 2))
        candidates = [f"{photo.stem}-saliency.png", *numbered]
        names.append(next(name for name in candidates if name not in names))
    return [directory / name for name in names]


def _draw(explanation: Explanation, picture: Path, *, force: bool) -> None:
    from prodrec.eval.plots.contact_sheet import format_probability
    from prodrec.eval.plots.explanation import draw_saliency

    recognised = explanation.recognised
    saliency = recognised.saliency
    assert saliency is not None
    best = [(level, predictions[0]) for level, predictions in recognised.levels.items()]
    best += [(name, states[0]) for name, states in recognised.attributes.items()]
    missing_glyphs = draw_saliency(
        recognised.photo_CHW,
        saliency.weights_hw,
        saliency.rows,
        saliency.columns,
        picture,
        title=explanation.photo.name,
        weights_name=NAMES_OF_METHODS[saliency.method],
        note=" · ".join(f"{task}: {first.name} {format_probability(first.confidence)}" for task, first in best),
        force=force,
    )
    if missing_glyphs:
        console.warn(
            f"no font here has {missing_glyphs[:20]}: {picture} shows boxes; install one, such as Noto Sans CJK."
        )
