"""`prodrec audit`: products whose label is probably wrong, as a contact sheet and a table for decisions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption
from prodrec.core.base.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.eval.audit.suspects import Suspect
    from prodrec.eval.audit.trial import Trial
    from prodrec.pipeline.audit_findings import Findings
    from prodrec.pipeline.scoring_network import ScoringNetwork

DEFAULT_CSV, DEFAULT_HTML = Path("suspects.csv"), Path("audit.html")
SUSPECTS = 500


@dataclass(frozen=True)
class AuditResult:
    """What an audit found and wrote.

    csv, html: the table and the contact sheet
    suspects:  products whose label is probably wrong, in the order of the table
    weights:   the weight of each kind of evidence
    trial:     what the audit finds of planted errors
    counts:    rows, audited rows, and the numbers of pairs, classes and odd photos that were found
    """

    csv: Path
    html: Path
    suspects: tuple[Suspect, ...]
    weights: dict[str, float]
    trial: Trial
    counts: dict[str, Any]
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((*self.sentences, f"wrote {self.html} and {self.csv}"))

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec audit --json` prints them."""
        return {
            "csv": str(self.csv),
            "html": str(self.html),
            "suspects": len(self.suspects),
            "weights": self.weights,
            "trial": self.trial.as_json(),
            "counts": self.counts,
        }


def audit(
    dataset: str | Path | None = None,
    *,
    run: str | Path | None = None,
    csv: str | Path = DEFAULT_CSV,
    html: str | Path = DEFAULT_HTML,
    suspects: int = SUSPECTS,
    seed: int = 0,
    batch_size: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    force: bool = False,
) -> AuditResult:
    """Find labels of a dataset that are probably wrong, and write a contact sheet and a table for decisions.

    Nothing is changed: `prodrec prepare --corrections` applies the table when its decisions are filled in. A run that
    was trained on the same labels has learned their errors too; features that never saw them find more.

    Args:
        dataset: directory that `prepare` wrote; None is `dataset`.
        run: run whose network computes the features, or its name in `runs/`; None is the only finished run in `runs/`,
            and for a dataset of feature vectors these vectors.
        csv: table to write, with an empty column `decision`.
        html: contact sheet to write.
        suspects: products to list, at most.
        seed: seed of the planted errors on which the weights of the evidence are fitted.
        batch_size: photos per batch of the network; None is that of training.
        device: auto, cpu, cuda or cuda:N.
        workers: processes that load photos; None chooses by the number of cores.
        force: replace files at `csv` and `html`.

    Raises:
        NotFound: if the run or the dataset does not exist.
        BadArtefact: if the run is unfinished or damaged, or the dataset has nothing to recognise.
        BadOption: for options that contradict each other, for a dataset of fewer than two classes, and if `run` is None
            and there is not one run.
        OutputExists: if a file exists and `force` is not set.
    """
    from prodrec.core.base.outputs import refuse_if_taken
    from prodrec.core.data.dataset import open_dataset
    from prodrec.eval.audit.table import check_levels
    from prodrec.pipeline.audit_findings import find_all
    from prodrec.pipeline.audit_outputs import write_outputs

    csv, html = Path(csv), Path(html)
    if csv.resolve() == html.resolve():
        raise BadOption(f"--csv and --html name one file, {csv}; expected two.")
    if suspects < 1:
        raise BadOption(f"--suspects {suspects}: expected at least 1.")
    for path in (csv, html):
        refuse_if_taken(path, kind="audit", force=force)
    data = open_dataset(Path("dataset" if dataset is None else dataset))
    data.require_inputs()
    check_levels(data.taxonomy.levels)
    labels_N = np.asarray(data.labels_NL[:, -1]).astype(np.int64)
    if len(np.unique(labels_N[labels_N >= 0])) < 2:
        raise BadOption(f"{data.path} has fewer than two classes at its deepest level: there is nothing to compare.")
    vectors_Nd = dataset_vectors(data, run, place=html, batch_size=batch_size, device=device, workers=workers)
    found = find_all(data, labels_N, vectors_Nd, count=suspects, seed=seed)
    sentences = _sentences(found, labels_N, csv)
    write_outputs(data, labels_N, found, sentences, csv=csv, html=html, force=force)
    return AuditResult(
        csv, html, found.suspects, found.weights.as_json(), found.trial, _counts(found, labels_N), sentences
    )


def dataset_vectors(
    data: Dataset,
    run: str | Path | None,
    *,
    place: Path,
    batch_size: int | None = None,
    device: str = "auto",
    workers: int | None = None,
) -> NDArray[np.float32]:
    """Return the projected features of all rows, float32 [N, d] of length 1.

    place: beside it the features are in a temporary file meanwhile; `audit` has the other arguments and the errors
    """
    from prodrec.inference.neighbours.held_out import project
    from prodrec.pipeline.row_features import load_for_features, row_features

    loaded = load_for_features(data, run, device=device, batch_size=batch_size, workers=workers)
    if loaded is not None and loaded.run.dataset_fingerprint == data.fingerprint and not _saw_no_labels(loaded):
        console.info(
            f"{loaded.run.path} was trained on these labels and may have learned their errors; a run with a frozen "
            "network finds more of them (docs/how-to/audit.md)."
        )
    with row_features(loaded, data, np.arange(len(data)), place=place) as features_ND:
        return project(features_ND)


def _saw_no_labels(loaded: ScoringNetwork) -> bool:
    """Return whether training changed nothing but the classifiers: all stages were frozen, and nothing follows."""
    from prodrec.models.stages import all_stages

    network = loaded.recipe.network
    return network.embed is None and network.freeze_until == [*all_stages(loaded.network.backbone.trunk)][-1][0]


def _counts(found: Findings, labels_N: NDArray[np.int64]) -> dict[str, Any]:
    across = sum(bool(labels_N[pair.first] != labels_N[pair.second]) for pair in found.pairs)
    return {
        "rows": len(labels_N),
        "audited": int((labels_N >= 0).sum()),
        "pairs_across_classes": across,
        "pairs_inside_a_class": len(found.pairs) - across,
        "classes_that_may_be_one": len(found.shared),
        "odd_photos": len(found.odd),
    }


def _sentences(found: Findings, labels_N: NDArray[np.int64], csv: Path) -> tuple[str, ...]:
    counts, trial = _counts(found, labels_N), found.trial
    likely = sum(suspect.suspicion > 0.5 for suspect in found.suspects)
    audited, skipped = counts["audited"], counts["rows"] - counts["audited"]
    are_listed = counted(len(found.suspects), "suspect is", "suspects are")
    summary = (
        f"{counted(audited, 'row', 'rows')} examined; {are_listed} listed in {csv.name}, of which {likely:,} "
        f"{'is' if likely == 1 else 'are'} more probably wrong than right."
    )
    sentences = [summary]
    if skipped:
        sentences.append(
            f"{counted(skipped, 'row has', 'rows have')} no label at the deepest level and is not examined."
        )
    if trial.planted:
        tail = ""
        if trial.tail_planted:
            tail = f", and {trial.tail_found / trial.tail_planted:.0%} of the {trial.tail_planted:,} in the tail"
        sentences.append(
            f"In a trial with {trial.planted:,} planted errors, {trial.found / trial.planted:.0%} were among as many "
            f"first suspects{tail}."
        )
    for count, one, several in (
        (
            counts["classes_that_may_be_one"],
            "pair of classes may be one class",
            "pairs of classes may be one class each",
        ),
        (
            counts["pairs_across_classes"],
            "pair of nearly equal photos is under different classes",
            "pairs of nearly equal photos are under different classes",
        ),
        (
            counts["pairs_inside_a_class"],
            "pair of nearly equal photos of different products is under one class",
            "pairs of nearly equal photos of different products are under one class",
        ),
        (
            counts["odd_photos"],
            "photo is odd: blank, dark, blurred or of another shape",
            "photos are odd: blank, dark, blurred or of another shape",
        ),
    ):
        if count:
            sentences.append(f"{counted(count, one, several)}.")
    return tuple(sentences)
