"""The command `prodrec pretrain-embeddings`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console
from prodrec.core.base.errors import BadOption, did_you_mean

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.data.titles.embeddings import WordVectors

EXAMPLES = """
Examples:

- `prodrec pretrain-embeddings` trains on `dataset/` and writes `dataset/embeddings.h5`
- `prodrec pretrain-embeddings dataset --method cbow --dimension 300 --deterministic`
- `prodrec pretrain-embeddings dataset --from cc.zh.300.vec.gz` imports word2vec, fastText or GloVe vectors
- `prodrec pretrain-embeddings dataset --neighbours 包 --neighbours bag` prints the words nearest to two words
"""


@command("pretrain-embeddings", epilog=EXAMPLES)
def pretrain_embeddings_command(
    dataset: Annotated[Path, typer.Argument(help="Dataset made by `prodrec prepare`.")] = Path("dataset"),
    out: Annotated[
        Path | None, typer.Option(help="File to write. [default: DATASET/embeddings.h5]", show_default=False)
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="Import vectors from a word2vec, GloVe or fastText file; also gzipped."
        ),
    ] = None,
    method: Annotated[str | None, typer.Option(help="Training method: skip-gram or cbow. [default: skip-gram]")] = None,
    dimension: Annotated[int | None, typer.Option(help="Dimension of a vector. [default: 128]")] = None,
    window: Annotated[int | None, typer.Option(help="Words of context on each side. [default: 10]")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over all titles. [default: 5 to 200, by their number]")
    ] = None,
    negative: Annotated[int | None, typer.Option(help="Noise words for each real one. [default: 5]")] = None,
    subsample: Annotated[
        float | None, typer.Option(help="Words above this share of the text are subsampled. [default: 0.001]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the training. [default: 1]")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads. [default: one per core]")] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Train in one thread, which gives the same bits every time.")
    ] = False,
    words: Annotated[
        list[str] | None,
        typer.Option("--neighbours", metavar="WORD", help="Print the words nearest to WORD; may be repeated."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of neighbours to print.")] = 10,
    force: Annotated[bool, typer.Option("--force", help="Replace existing vectors.")] = False,
) -> dict[str, Any]:
    """Train word vectors on the titles of a dataset's training split, or import them.

    `prodrec train sicot` starts from these vectors. With --neighbours and no other option, existing vectors are read.
    """
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.data.titles.embeddings import EMBEDDINGS_FILE, load_word_vectors, nearest_words
    from prodrec.core.data.titles.tokenizer import normalise_text
    from prodrec.pipeline.pretrain_embeddings import pretrain_embeddings

    options: dict[str, Any] = {
        "source": source,
        "method": method,
        "dimension": dimension,
        "window": window,
        "epochs": epochs,
        "negative": negative,
        "subsample": subsample,
        "seed": seed,
        "workers": workers,
        "deterministic": deterministic,
        "force": force,
    }
    data = open_dataset(dataset)
    for word in words or ():
        if normalise_text(word) not in data.vocabulary.words:
            known = did_you_mean(normalise_text(word), data.vocabulary.words)
            raise BadOption(f"--neighbours {word}: no title of {dataset} has this word, or it was trimmed{known}.")
    out = out or data.path / EMBEDDINGS_FILE
    only_read = bool(words) and out.exists() and not any(value not in (None, False) for value in options.values())
    if only_read:
        word_vectors = load_word_vectors(out, dataset_fingerprint=data.fingerprint)
    else:
        word_vectors = pretrain_embeddings(data, out=out, **options)
    summary = {"embeddings": str(out), **_summary(word_vectors, data)}
    _print_summary(summary, only_read=only_read)
    summary["neighbours"] = {word: nearest_words(word_vectors, word, top) for word in words or ()}
    _print_neighbours(summary["neighbours"])
    if not only_read and data.inputs != "nothing":
        console.print(f"next: `prodrec train sicot {dataset}`")
    return summary


def _summary(word_vectors: WordVectors, data: Dataset) -> dict[str, Any]:
    counts = data.vocabulary.counts
    return {
        "fingerprint": word_vectors.fingerprint,
        "method": word_vectors.method,
        "dimension": word_vectors.dimension,
        "words": len(word_vectors),
        "known": int(word_vectors.known_V.sum()),
        "known_share_of_text": float(counts[word_vectors.known_V].sum() / max(1, counts.sum())),
        "settings": dict(word_vectors.settings),
    }


def _print_summary(summary: dict[str, Any], *, only_read: bool) -> None:
    settings = summary["settings"]
    size = f"{summary['words']:,} words × {summary['dimension']}, {summary['method']}"
    console.print(f"{summary['embeddings']}: {'' if only_read else 'written, '}{size}")
    share, text = summary["known"] / max(1, summary["words"]), summary["known_share_of_text"]
    line = (
        f"vectors for {summary['known']:,} of {summary['words']:,} words ({share:.1%}, {text:.1%} of all title words)"
    )
    if "file" in settings:
        line += f": {settings['exact']:,} with the same spelling, {settings['other_spelling']:,} in another spelling"
        line += f", {settings['from_parts']:,} from their n-grams" if settings["from_parts"] else ""
    elif summary["known"] < summary["words"]:
        line += "; the others do not occur in training titles"
    console.print(line)


def _print_neighbours(neighbours: dict[str, list[tuple[str, float]]]) -> None:
    for word, nearest_words in neighbours.items():
        console.print(f"{word}: " + "  ".join(f"{other} {cosine:.2f}" for other, cosine in nearest_words))
