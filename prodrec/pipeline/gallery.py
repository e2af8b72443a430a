"""`prodrec gallery`: a contact sheet of classified photos (paper S fig. 6)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import console
from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch

if TYPE_CHECKING:
    from prodrec.eval.gallery_contents import GalleryOptions


def draw_gallery(
    scores: Path | None, dataset: Path, out: Path, options: GalleryOptions, *, columns: int = 8, force: bool = False
) -> dict[str, Any]:
    """Draw photos with their predicted classes to the picture `out`, and return them as plain values.

    Args:
        scores: scores file, its name in `scores/`, or None for the only file there.
        dataset: directory of the dataset that was scored.
        out: picture to write: .png, .svg or .pdf.
        options: which photos to draw, and how many.
        columns: photos in a row of the sheet.
        force: replace an existing picture.

    Raises:
        NotFound: if there is no scores file, or the dataset does not exist.
        Mismatch: if the scores are of another dataset.
        BadArtefact: if the dataset has no photos, or fewer rows than the scores.
        OutputExists: if `out` exists and `force` is not set.
        BadOption: for another format of `out`, or if `scores` is None and there are several files.
    """
    from prodrec.core.base.outputs import refuse_if_taken
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.scores.reader import open_scores
    from prodrec.eval.gallery import choose_photos
    from prodrec.eval.plots import contact_sheet
    from prodrec.eval.plots.style import check_format

    scores = _find_scores_file(scores)
    check_format(out, option="--out")
    refuse_if_taken(out, kind="gallery", force=force)
    with open_scores(scores) as file:
        data = open_dataset(dataset)
        if file.origin.made_from.get("dataset") != data.fingerprint:
            raise Mismatch(
                f"{scores} is not of {dataset} as it is now; name the dataset that was scored, or score the run again."
            )
        if data.photos is None:
            raise BadArtefact(f"{dataset} has {data.inputs} in place of photos: there is nothing to draw.")
        gallery = choose_photos(file, options)
    if max(photo.row for photo in gallery.photos) >= len(data):
        raise BadArtefact(f"{scores} has rows beyond the {len(data):,} of {dataset}; score the run again.")
    missing_glyphs = contact_sheet.draw_gallery(gallery, data.photos.decode, out, columns=columns, force=force)
    if missing_glyphs and out.suffix.lower() != ".svg":
        console.warn(
            f"no font here has {missing_glyphs[:20]}: {out} shows boxes; install one (Noto Sans CJK), or write .svg."
        )
    return {**gallery.as_json(), "out": str(out)}


def _find_scores_file(scores: Path | None) -> Path:
    """Return the scores file from its path, its name in `scores/`, or as the only file there."""
    if scores is not None:
        named = Path("scores") / f"{scores}.h5"
        return named if not scores.exists() and named.is_file() else scores
    from prodrec.eval.report.find_scores import find_scores

    files = find_scores(Path("scores"))
    if len(files) > 1:
        raise BadOption(f"scores/ has {', '.join(path.name for path in files)}; name the one to draw.")
    return files[0]
