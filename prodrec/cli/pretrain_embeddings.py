"""`prodrec pretrain-embeddings`: a vector for every word of a dataset's titles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console
from prodrec.core.base.errors import BadOption, nearest

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.data.titles.embeddings import WordVectors

EXAMPLES = """
Examples:

- `prodrec pretrain-embeddings` trains on `dataset/` and writes `dataset/embeddings.h5`
- `prodrec pretrain-embeddings dataset --method cbow --dimension 300 --deterministic`
- `prodrec pretrain-embeddings dataset --from cc.zh.300.vec.gz` imports word2vec, fastText or GloVe vectors
- `prodrec pretrain-embeddings dataset --neighbours 包 --neighbours bag` looks at what is there
"""


@command("pretrain-embeddings", epilog=EXAMPLES)
def pretrain_embeddings_command(
    dataset: Annotated[Path, typer.Argument(help="Dataset made by `prodrec prepare`.")] = Path("dataset"),
    out: Annotated[Path | None, typer.Option(help="[default: DATASET/embeddings.h5]", show_default=False)] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Import these instead: word2vec, GloVe, fastText; also gzipped."),
    ] = None,
    method: Annotated[str | None, typer.Option(help="skip-gram or cbow. [default: skip-gram]")] = None,
    dimension: Annotated[int | None, typer.Option(help="Numbers in a vector. [default: 128]")] = None,
    window: Annotated[int | None, typer.Option(help="Words of context on each side. [default: 10]")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Times that all titles are read. [default: by size, 5 to 200]")
    ] = None,
    negative: Annotated[int | None, typer.Option(help="Noise words for each real one. [default: 5]")] = None,
    subsample: Annotated[
        float | None, typer.Option(help="Words above this share of the text are read less often. [default: 0.001]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 1]")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads. [default: one a core]")] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="One thread: the same bits each time, everywhere.")
    ] = False,
    words: Annotated[
        list[str] | None, typer.Option("--neighbours", metavar="WORD", help="Show the nearest words; may be repeated.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many neighbours to show.")] = 10,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
) -> dict[str, Any]:
    """Train word vectors on the titles of a dataset's training split, or import them.

    `prodrec train sicot` starts its words from them. With --neighbours alone, vectors that are there are looked at.
    """
    given: dict[str, Any] = {
        "method": method,
        "dimension": dimension,
        "window": window,
        "epochs": epochs,
        "negative": negative,
        "subsample": subsample,
        "seed": seed,
        "workers": workers,
        "deterministic": deterministic or None,
    }
    options = {name: value for name, value in given.items() if value is not None}
    useless = [f"--{name}" for name in options if source and name not in ("dimension", "seed")]
    if useless:
        raise BadOption(f"{', '.join(useless)} can do nothing with --from; leave it out, or train without --from.")

    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.data.titles.embeddings import FILE_NAME, load, neighbours
    from prodrec.core.data.titles.word_vectors import pretrain_embeddings
    from prodrec.core.data.titles.words import normalise

    data = open_dataset(dataset)
    for word in words or ():
        if normalise(word) not in data.vocabulary.words:
            known = nearest(normalise(word), data.vocabulary.words.like(normalise(word)))
            raise BadOption(f"--neighbours {word}: no title of {dataset} has this word, or it was trimmed{known}.")
    out = out or data.path / FILE_NAME
    only_look = bool(words) and not (options or source or force) and out.exists()
    if only_look:
        made = load(out, dataset_fingerprint=data.fingerprint)
    else:
        made = pretrain_embeddings(data, out=out, source=source, force=force, **options)
    answer = {"embeddings": str(out), **_summary(made, data)}
    _say_summary(answer, looked=only_look)
    answer["neighbours"] = {word: neighbours(made, word, top) for word in words or ()}
    _say_neighbours(answer["neighbours"])
    if not only_look and data.inputs != "nothing":
        console.print(f"next: `prodrec train sicot {dataset}`")
    return answer


def _summary(made: WordVectors, data: Dataset) -> dict[str, Any]:
    counts = data.vocabulary.counts
    return {
        "fingerprint": made.fingerprint,
        "method": made.method,
        "dimension": made.dimension,
        "words": len(made),
        "known": int(made.known_V.sum()),
        "known_share_of_text": float(counts[made.known_V].sum() / max(1, counts.sum())),
        "settings": dict(made.settings),
    }


def _say_summary(answer: dict[str, Any], *, looked: bool) -> None:
    settings = answer["settings"]
    what = f"{answer['words']:,} words × {answer['dimension']}, {answer['method']}"
    console.print(f"{answer['embeddings']}: {'' if looked else 'written, '}{what}")
    share, text = answer["known"] / max(1, answer["words"]), answer["known_share_of_text"]
    line = f"vectors for {answer['known']:,} of {answer['words']:,} words ({share:.1%}, {text:.1%} of all titles' text)"
    if "file" in settings:
        line += f": {settings['exact']:,} as they are, {settings['other_spelling']:,} in another spelling"
        line += f", {settings['from_parts']:,} from their parts" if settings["from_parts"] else ""
    elif answer["known"] < answer["words"]:
        line += "; the others do not occur in training titles"
    console.print(line)


def _say_neighbours(found: dict[str, list[tuple[str, float]]]) -> None:
    for word, near in found.items():
        console.print(f"{word}: " + "  ".join(f"{other} {cosine:.2f}" for other, cosine in near))
