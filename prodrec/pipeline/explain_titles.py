"""`prodrec explain --titles` and `--title`: the words of titles by their attention weights (A fig. 7).

Shapes: B titles of a batch, T words, V words of the vocabulary.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption, BadTable, Mismatch

if TYPE_CHECKING:
    from prodrec.core.base.ragged import Ragged
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.data.titles.vocabulary import Vocabulary
    from prodrec.core.training.run import Run
    from prodrec.inference.title_words import RankedWord, Weigh, WordWeights

SAMPLE, MIN_COUNT, TOP = 5, 10, 10
MOST_TITLES = 200_000
"""Titles over which weights are averaged; of more, so many are drawn, which takes seconds in place of minutes."""


@dataclass(frozen=True)
class ExplainedTitle:
    """A title with its words by descending weight.

    id, path: of its product; empty for a title that the user typed
    row:      of the dataset, or -1
    """

    title: str
    words: tuple[RankedWord, ...]
    id: str = ""
    path: tuple[str, ...] = ()
    row: int = -1


@dataclass(frozen=True)
class MeanWeight:
    """A word of a dataset: occurrences, mean weight, and mean weight relative to its titles (`title_words`)."""

    word: str
    count: int
    weight: float
    relative: float


@dataclass(frozen=True)
class WordsOfDataset:
    """The words with the largest and the smallest mean weight.

    titles:    titles over which the weights were averaged, those with at least two words
    min_count: occurrences that a listed word has at least
    words:     words with so many occurrences
    most:      largest first; least: smallest first
    """

    titles: int
    min_count: int
    words: int
    most: tuple[MeanWeight, ...]
    least: tuple[MeanWeight, ...]


@dataclass(frozen=True)
class TitleExplanations:
    """Titles with the weights of their words.

    dataset: where they are from, with `means` over it; both are None for a title that the user typed
    """

    run: Path
    encoder: str
    titles: tuple[ExplainedTitle, ...]
    dataset: Path | None = None
    means: WordsOfDataset | None = None
    html: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec explain --json` prints them."""
        return {
            "run": str(self.run),
            "encoder": self.encoder,
            "dataset": None if self.dataset is None else str(self.dataset),
            "titles": [{**asdict(title), "path": list(title.path)} for title in self.titles],
            "means": None if self.means is None else asdict(self.means),
            "html": None if self.html is None else str(self.html),
        }


def explain_titles(
    run: str | Path,
    dataset: str | Path | None = None,
    *,
    title: str | None = None,
    sample: int = SAMPLE,
    min_count: int = MIN_COUNT,
    top: int = TOP,
    seed: int = 0,
    html: str | Path | None = None,
    device: str = "auto",
    force: bool = False,
) -> TitleExplanations:
    """Sort the words of titles by the weights that the title encoder of a run gives them (A fig. 7).

    Args:
        run: run directory, or the name of a run in `runs/`, that was trained with titles.
        dataset: directory that `prepare` wrote: titles are drawn from it, and weights averaged over it.
        title: one title in place of a dataset.
        sample: number of titles to draw.
        min_count: occurrences that a word needs, to be listed by its mean weight.
        top: number of words with the largest mean weight to list, and of those with the smallest.
        seed: seed of the drawn titles.
        html: page to write.
        device: auto, cpu, cuda or cuda:N.
        force: replace an existing page.

    Raises:
        NotFound: if the run or the dataset does not exist.
        BadArtefact: if the run is unfinished or damaged.
        BadOption: if the run uses no titles or weighs all words alike, or without exactly one of dataset and title.
        BadTable: if the dataset has no titles of at least two words.
        Mismatch: if the run knows no word of the dataset.
        OutputExists: if the page exists and `force` is not set.
    """
    from prodrec.core.base.outputs import new_file, refuse_if_taken
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.training.run import open_run
    from prodrec.pipeline.scoring_targets import find_run

    if (dataset is None) == (title is None):
        raise BadOption('give either a dataset with --titles DATASET or one title with --title "…".')
    if html is not None:
        refuse_if_taken(Path(html), kind="report", force=force)
    opened = open_run(find_run(Path(run)))
    opened.require_finished()
    data = None if dataset is None else open_dataset(Path(dataset))
    encoder, weigh = _weigher(opened, device)
    means: WordsOfDataset | None = None
    titles: tuple[ExplainedTitle, ...]
    if data is None:
        assert title is not None
        titles = (ExplainedTitle(title, _ranked(title, opened.vocabulary, weigh)),)
    else:
        rows, tokens = _titles(data, opened)
        titles = tuple(
            ExplainedTitle(
                product["title"],
                _ranked(product["title"], opened.vocabulary, weigh),
                product["id"],
                tuple(product["path"]),
                product["row"],
            )
            for product in data.samples(sample, seed=seed, among=rows)
        )
        if len(rows) > MOST_TITLES:
            rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_TITLES, replace=False))
        means = _means(opened.vocabulary, weigh, tokens.take(rows), min_count=min_count, top=top)
    result = TitleExplanations(
        opened.path, encoder, titles, None if data is None else data.path, means, None if html is None else Path(html)
    )
    if result.html is not None:
        with new_file(result.html, kind="report", force=force) as partial:
            partial.write_text(_page(result, data), "utf-8")
    return result


def _weigher(run: Run, device: str) -> tuple[str, Weigh]:
    """Return the name of the title encoder of a run, and a function that weighs words. Raise BadOption."""
    import torch

    from prodrec.core.base.device import choose_device
    from prodrec.models.families import Recipe
    from prodrec.models.settings.titles import WEIGHING_ENCODERS
    from prodrec.pipeline.load import load_network

    recipe = Recipe.from_json(run.recipe, source=str(run.path))
    encoder = recipe.network.titles
    if encoder is None:
        raise BadOption(f"{run.path} was trained on photos alone and does not use titles; name a run such as sicot.")
    if encoder not in WEIGHING_ENCODERS:
        raise BadOption(
            f"{run.path} weighs all words of a title alike (titles={encoder}); name a run with titles="
            f"{' or '.join(WEIGHING_ENCODERS)}."
        )
    target = choose_device(device)
    network = load_network(run, recipe, target)
    bfloat16 = run.header["arithmetic"]["dtype"] == "bfloat16"

    def weigh(tokens_BT: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode(), torch.autocast(target.type, dtype=torch.bfloat16, enabled=bfloat16):
            weights_BT = network.encode_titles(torch.from_numpy(tokens_BT).to(target)).weights_BT
        weights: NDArray[np.float32] = weights_BT.float().cpu().numpy()
        return weights

    return encoder, weigh


def _ranked(title: str, vocabulary: Vocabulary, weigh: Weigh) -> tuple[RankedWord, ...]:
    from prodrec.inference.title_inputs import split_title, weigh_words
    from prodrec.inference.title_words import rank_words

    words = split_title(title, vocabulary)
    ids_T = vocabulary.encode(words).astype(np.int64)
    weights_T = weigh(ids_T[None])[0] if len(ids_T) else np.zeros(0, np.float32)
    return tuple(rank_words(weigh_words(words, weights_T, vocabulary)))


def _titles(data: Dataset, run: Run) -> tuple[NDArray[np.int64], Ragged]:
    """Return the first row of every product whose title has words of the run, and the ids of the words of all rows.

    Titles of one word are no use: the rows have at least two words.
    """
    from prodrec.core.data.titles.vocabulary import require_vocabulary

    tokens = data.tokens
    words = require_vocabulary(data).words
    if data.fingerprint != run.dataset_fingerprint:
        from prodrec.core.base.ragged import Ragged

        ids_V = np.array([0, *(run.vocabulary.id_of(word) for word in words)], np.int32)
        if not ids_V.any():
            raise Mismatch(f"{run.path} knows no word of {data.path}; name the dataset on which it was trained.")
        tokens = Ragged(ids_V[tokens.values], tokens.offsets)
        tokens = tokens.filter(tokens.values > 0)
    _, first_P = np.unique(np.asarray(data.product_N), return_index=True)
    rows_P = first_P[tokens.lengths[first_P] > 1]
    if not len(rows_P):
        raise BadTable(f"{data.path} has no title of at least two words that {run.path} knows; name another dataset.")
    return np.sort(rows_P), tokens


def _means(
    vocabulary: Vocabulary,
    weigh: Weigh,
    titles: Ragged,
    *,
    min_count: int,
    top: int,
) -> WordsOfDataset:
    from prodrec.inference.title_words import mean_weights

    weights = mean_weights(weigh, titles, words=len(vocabulary))
    ranked = weights.ranked(min_count)
    half = min(top, len(ranked) // 2)
    return WordsOfDataset(
        titles=weights.titles,
        min_count=min_count,
        words=len(ranked),
        most=_listed(vocabulary, weights, ranked[:half]),
        least=_listed(vocabulary, weights, ranked[len(ranked) - half :][::-1]),
    )


def _listed(vocabulary: Vocabulary, weights: WordWeights, ids: NDArray[np.int64]) -> tuple[MeanWeight, ...]:
    return tuple(
        MeanWeight(
            vocabulary.words[i - 1], int(weights.counts_V[i]), float(weights.weights_V[i]), float(weights.relative_V[i])
        )
        for i in ids.tolist()
    )


def _page(result: TitleExplanations, data: Dataset | None) -> str:
    from prodrec.eval.page.inputs import PhotoSource
    from prodrec.eval.page.words import build_words_page

    photos = None if data is None or data.photos is None else PhotoSource(data.photos.decode, data.photo_files)
    return build_words_page(result.as_json(), photos)
