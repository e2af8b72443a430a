"""Write the addresses of a recipe's table as a configuration of curl, which stores each photo under its name.

    python …/examples/recipes/addresses.py products.csv --out addresses.txt
    curl --config addresses.txt --output-dir photos --create-dirs --parallel --retry 3

Rows without a web address are skipped. Photos that the folder has already are fetched again; to continue, add
`--no-clobber` (curl 7.83 or later).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from recipe import mistakes_end, read_records

from prodrec.core.base import console
from prodrec.core.base.outputs import new_file

ADDRESS = re.compile(r"https?://[^\s\x00-\x1f\x7f]+")


def write_addresses(table: Path, out: Path, *, force: bool = False) -> tuple[int, int]:
    """Write the file `out`. Return the numbers of addresses and of rows without one. Raise a ProdrecError."""
    count = skipped = 0
    with new_file(out, kind="list of addresses", force=force) as partial, partial.open("w", encoding="utf-8") as stream:
        stream.write("globoff\nfail\n")  # brackets in addresses mean themselves; an error page is no photo
        for photo, address in read_records(table, "image", "url"):
            name = re.sub(r"[\x00-\x1f\x7f]", "", photo.replace("\\", "/").rpartition("/")[2])
            if ADDRESS.fullmatch(address) and name not in ("", ".", ".."):
                stream.write(f"url = {quoted(address)}\noutput = {quoted(name)}\n")
                count += 1
            else:
                skipped += 1
    return count, skipped


def quoted(text: str) -> str:
    """Return a text as curl reads it between quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="the table that a recipe wrote, with the columns image and url")
    parser.add_argument("--out", type=Path, default=Path("addresses.txt"), help="file to write (addresses.txt)")
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    options = parser.parse_args(arguments)
    with mistakes_end():
        count, skipped = write_addresses(options.table, options.out, force=options.force)
    console.info(f"wrote {options.out}: {count:,} addresses; {skipped:,} rows have none")


if __name__ == "__main__":
    main()
