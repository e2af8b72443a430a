"""Azure Custom Vision: move the photos and tags of a classification project to prodrec.

    mkdir custom-vision && cd custom-vision
    # KEY, REGION and PROJECT are in the settings of the project
    API=https://REGION.api.cognitive.microsoft.com/customvision/v3.3/training/projects/PROJECT
    mkdir pages; skip=0
    while curl -fsSH "Training-Key: $KEY" "$API/images/tagged?take=256&skip=$skip" -o pages/$skip.json &&
        [ "$(head -c 2 pages/$skip.json)" != "[]" ]; do skip=$((skip + 256)); done
    python …/examples/recipes/custom_vision.py pages --out products.csv
    python …/examples/recipes/addresses.py products.csv --out addresses.txt
    curl --config addresses.txt --output-dir photos --create-dirs --parallel --retry 3
    prodrec prepare products.csv --images photos/
    prodrec train && prodrec score && prodrec report

The addresses contain a signature that expires: fetch the photos soon, and keep the table to yourself until then.

A page is the answer of `GetTaggedImages`, an array:

    [{"id": "4d6e…", "originalImageUri": "https://…", "tags": [{"tagId": "…", "tagName": "tag 1"}], "regions": […]}, …]

A photo is called like its id. Its class is its tag; of several tags, as in multilabel projects, it is the first, and
the others are in the column `further_tags`, which `prepare` does not use. `Negative`, if the project has this tag, is a
class like any other. Photos with regions belong to a project of object detection, which prodrec does not do. Tags have
no levels: if there is a tree above them, add its columns to the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from recipe import Contents, Row, need, read_json, run

from prodrec.core.base.errors import BadTable


def read(source: Path) -> Contents:
    """Return the rows of a page, or of all pages in a folder."""
    need(source, "the pages of GetTaggedImages")
    pages = sorted(source.glob("*.json")) if source.is_dir() else [source]
    if not pages:
        raise BadTable(f"{source} contains no .json file; expected the pages of GetTaggedImages.")
    return Contents(("image", "leaf", "further_tags", "url"), rows(pages), ["--images", "photos/"])


def rows(pages: Sequence[Path]) -> Iterator[Row]:
    seen: set[str] = set()
    for page in pages:
        images = read_json(page, list, expected="the answer of GetTaggedImages", remedy="request it again")
        for image in images:
            try:
                photo, address = str(image["id"]), str(image["originalImageUri"])
                tags = [str(tag["tagName"]) for tag in image.get("tags") or []]
                regions = image.get("regions")
            except (KeyError, TypeError, AttributeError) as error:
                raise BadTable(
                    f"{page} contains an image without {error}; expected the answer of GetTaggedImages."
                ) from error
            if regions:
                raise BadTable(f"{page} contains photos with regions; expected a classification project.")
            if photo not in seen:  # photos move to the next page if some are added between two requests
                seen.add(photo)
                yield photo, tags[0] if tags else "", " | ".join(tags[1:]), address


def main(arguments: Sequence[str] | None = None) -> None:
    run(__doc__, read, arguments)


if __name__ == "__main__":
    main()
