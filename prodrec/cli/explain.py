"""The command `prodrec explain`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console
from prodrec.core.base.errors import BadOption
from prodrec.core.base.wording import counted

if TYPE_CHECKING:
    from prodrec.inference.title_words import RankedWord
    from prodrec.pipeline.explain import Explanation
    from prodrec.pipeline.explain_titles import MeanWeight, TitleExplanations

EXAMPLES = """
Examples:

- `prodrec explain sicot shoe.jpg` prints the five best classes of every level
- `prodrec explain visual photos/ --saliency --out look/` draws where the network looks, for each photo of a folder
- `prodrec explain sicot front.jpg side.jpg sole.jpg --pool` recognises one product by three photos
- `prodrec explain runs/sicot shoe.jpg --title "Nike Air Max"` adds the weight of each word of the title
- `prodrec explain sicot shoe.jpg --title "Nike Air Max" --with-titles --top 3 --json` uses the title too
- `prodrec explain sicot --title "Nike Air Max"` prints the weights of the words alone
- `prodrec explain sicot --titles dataset --sample 20 --html words.html` sorts the words of 20 titles, and of all
"""
STYLES = {"+": "green", "-": "red"}
"""The colours of words with a mark; the mark is printed too."""


@command("explain", epilog=EXAMPLES)
def explain_command(
    run: Annotated[Path, typer.Argument(help="Run directory, or its name in runs/.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="IMAGE…", help="Photo files of any format, and folders of them.", show_default=False),
    ] = None,
    saliency: Annotated[
        bool,
        typer.Option(
            "--saliency",
            help="Draw over each photo where the network looks: attention or Grad-CAM.",
        ),
    ] = False,
    title: Annotated[str | None, typer.Option(help="Title of the product; prints the weight of each word.")] = None,
    with_titles: Annotated[
        bool, typer.Option("--with-titles", help="Use the title too, to predict the deepest level; needs --title.")
    ] = False,
    pool: Annotated[
        bool, typer.Option("--pool", help="The photos show one product: one result, from the mean of their scores.")
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of best classes to print for every level; of words, with --titles. [default: 5; 10 words]",
            show_default=False,
        ),
    ] = None,
    titles: Annotated[
        Path | None,
        typer.Option(
            metavar="DATASET",
            help="Explain titles of a dataset in place of photos: words by weight (A fig. 7).",
            show_default=False,
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Number of titles that --titles draws. [default: 5]", show_default=False),
    ] = None,
    min_count: Annotated[
        int | None,
        typer.Option(
            min=1, help="Occurrences that a word needs, to be listed by --titles. [default: 10]", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the drawn titles. [default: 0]", show_default=False)
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the words of titles as a page.", show_default=False)] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Directory for the pictures of --saliency. [default: explain]", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace pictures and pages that exist already.")] = False,
) -> dict[str, Any]:
    """Recognise photo files, or sort the words of titles by their weights.

    With photos, it prints the best classes of every level, and the best state of every attribute. The photo alone is
    used, as in deployment, unless --with-titles is given. --saliency draws the weights of the spatial attention. For a
    network without one, and where its weights hardly differ, it draws Grad-CAM: how much each place speaks for the best
    class of the deepest level. The scale starts at 0.

    With --titles, or --title alone, it prints the words of titles by descending weight: the first three in green with a
    plus, the last three in red with a minus, and the words with the largest and smallest mean weight over the dataset.
    """
    of_titles = {"--sample": sample, "--min-count": min_count, "--seed": seed}
    if images:
        _refuse({"--titles": titles, "--html": html, **of_titles}, "explains titles, and photos are given; omit one")
        return _explain_photos(
            run,
            images,
            saliency=saliency,
            title=title,
            with_titles=with_titles,
            pool=pool,
            top=5 if top is None else top,
            out=out,
            device=device,
            force=force,
        )
    if titles is None and title is None:
        raise BadOption('name photos to recognise, a dataset with --titles DATASET, or a title with --title "…".')
    of_photos = {"--saliency": saliency, "--with-titles": with_titles, "--pool": pool, "--out": out}
    _refuse(of_photos, "is about photos, and none are given; omit it, or name photos")
    if titles is None:
        _refuse({"--top": top, **of_titles}, "is about the titles of a dataset; omit it, or name one with --titles")
    from prodrec.pipeline.explain_titles import explain_titles

    chosen = {"sample": sample, "min_count": min_count, "top": top, "seed": seed}
    result = explain_titles(
        run,
        titles,
        title=title,
        html=html,
        device=device,
        force=force,
        **{name: number for name, number in chosen.items() if number is not None},
    )
    _print_titles(result)
    return result.as_json()


def _refuse(options: dict[str, Any], reason: str) -> None:
    """Raise BadOption for the first option that was given."""
    given = next((name for name, value in options.items() if value is not None and value is not False), None)
    if given is not None:
        raise BadOption(f"{given} {reason}.")


def _explain_photos(run: Path, images: Sequence[Path], **options: Any) -> dict[str, Any]:
    from prodrec.pipeline.explain import explain

    result = explain(run, images, **options)
    for explanation in result.explanations:
        _print_explanation(explanation)
    return {"run": str(run), **result.as_json()}


def _print_explanation(explanation: Explanation) -> None:
    from prodrec.core.base.taxonomy import PATH_SEPARATOR
    from prodrec.eval.plots.contact_sheet import format_probability
    from prodrec.inference.title_words import rank_words

    recognised = explanation.recognised
    if explanation.pooled:
        count = len(explanation.pooled)
        pooled = f"{count} photos pooled" if count > 1 else "1 photo pooled"
        console.print(f"{pooled}: {', '.join(map(str, explanation.pooled))}")
    else:
        console.print(str(explanation.photo))
    for level, predictions in recognised.levels.items():
        console.print(f"  {level}")
        for prediction in predictions:
            console.print(f"    {format_probability(prediction.confidence):>5}  {PATH_SEPARATOR.join(prediction.path)}")
    if recognised.neighbours:
        console.print("  nearest training photos, by their share of the vote")
        for neighbour in recognised.neighbours:
            share, path = format_probability(neighbour.share), PATH_SEPARATOR.join(neighbour.path)
            console.print(f"    {share:>5}  {neighbour.id}  {path} (cosine {neighbour.cosine:.2f})")
    if recognised.attributes:
        console.print("  attributes")
        for name, states in recognised.attributes.items():
            console.print(f"    {format_probability(states[0].confidence):>5}  {name}: {states[0].name}")
    if recognised.words is not None:
        console.print("  words of the title by weight")
        _print_words(rank_words(recognised.words))
    if explanation.picture is not None:
        console.print(f"  wrote {explanation.picture}")


def _print_titles(result: TitleExplanations) -> None:
    from prodrec.core.base.taxonomy import PATH_SEPARATOR

    for title in result.titles:
        path = f" ({PATH_SEPARATOR.join(title.path)})" if title.path else ""
        console.print(f"{title.id}  {title.title}{path}" if title.id else title.title)
        _print_words(title.words)
    means = result.means
    if means is not None:
        over, occur = counted(means.titles, "title", "titles"), counted(means.words, "word occurs", "words occur")
        console.print()
        console.print(
            f"mean weight over {over}, relative to the other words of each; {occur} at least {means.min_count:,} times"
        )
        for heading, words in (("largest", means.most), ("smallest", means.least)):
            console.print(f"  {heading}")
            _print_means(words)
        if not means.most:
            console.info("fewer than two words occur so often; lower --min-count to list some")
    if result.html is not None:
        console.info(f"wrote {result.html}")


def _print_words(words: Sequence[RankedWord]) -> None:
    from rich.text import Text

    for word in words:
        unknown = word.weight is None
        weight = "    –" if word.weight is None else f"{word.weight:5.2f}"
        line = f"  {word.mark or ' '} {weight}  {word.word}{' (not in the vocabulary)' if unknown else ''}"
        console.print(Text(line, style=STYLES.get(word.mark, "")))
    if not words:
        console.print("    (the title has no words)")


def _print_means(words: Sequence[MeanWeight]) -> None:
    for word in words:
        console.print(f"    {word.relative:5.2f}  {word.word} ({word.count:,} times, weight {word.weight:.2f})")
