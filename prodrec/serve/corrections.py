"""The correction loop: photos with their right class, in a table that `prodrec prepare` and `index update` read.

`corrections.csv` has the columns id, image, title and one for each level. The photos are in `corrections-photos/`
beside it, and `image` has their paths from the folder of the table.
"""

from __future__ import annotations

import csv
import secrets
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from prodrec.core.base.corrections import correction_columns
from prodrec.core.base.csv_cells import harmless
from prodrec.core.base.errors import BadOption
from prodrec.core.base.outputs import atomic_write, refuse_if_inside_file


class Corrections:
    """Appends corrections to a table. Several threads may call `add`.

    Raise BadOption if the table exists with other columns, or cannot be one; OutputExists if it is inside a file.
    """

    def __init__(self, table: Path, levels: Sequence[str]) -> None:
        self.table, self.photos = table, table.with_name(f"{table.stem}-photos")
        self._columns = correction_columns(levels, refused="--corrections")
        self._lock = threading.Lock()
        refuse_if_inside_file(table, kind="corrections")
        if table.is_dir() or table.suffix.lower() != ".csv":
            raise BadOption(f"--corrections {table}: expected the name of a CSV file, such as corrections.csv.")
        if table.is_file() and table.stat().st_size:
            with table.open(encoding="utf-8", newline="") as file:
                found = next(csv.reader(file), [])
            if found != self._columns:
                raise BadOption(
                    f"--corrections {table} has the columns {', '.join(found)[:200]}; this run needs "
                    f"{', '.join(self._columns)}: give another file."
                )

    def add(self, photo: bytes, path: Sequence[str], *, title: str = "") -> str:
        """Keep a photo (a JPEG) with its class, and return the id of the row."""
        name = f"c{datetime.now(UTC):%Y%m%d%H%M%S}{secrets.token_hex(4)}"
        names = [*path, *[""] * (len(self._columns) - 3 - len(path))]
        with self._lock:
            self.photos.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.photos / f"{name}.jpg") as partial:
                partial.write_bytes(photo)
            is_new = not self.table.exists() or not self.table.stat().st_size
            with self.table.open("a", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                if is_new:
                    writer.writerow(self._columns)
                writer.writerow([name, f"{self.photos.name}/{name}.jpg", *(harmless(cell) for cell in (title, *names))])
        return name
