"""The formats of tables, by the endings of names and by the first bytes of files."""

from __future__ import annotations

import re
from pathlib import Path

from prodrec.core.base.errors import BadTable

FORMATS = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".xml": "xml",
    ".rss": "xml",
    ".atom": "xml",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xlsb": "excel",
    ".xls": "excel",
    ".ods": "excel",
}
"""Formats by the ending of the name, without those of compressed files."""

COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
"""Endings of compressed files."""

TEXT_FORMATS = ("csv", "tsv", "jsonl", "json")
"""Formats that may be compressed and may have another encoding than UTF-8."""

EXPECTED = "expected CSV, TSV, JSON lines, JSON, XML, Parquet or Excel (.csv .tsv .jsonl .json .xml .parquet .xlsx)"

ARCHIVES = (".tar", ".tgz", ".7z", ".rar", ".zst")
"""Endings of archives and compressed files that are not read."""

_GIT_LFS = b"version https://git-lfs.github.com/spec/"
_WEB_PAGE = re.compile(rb"\s*(?:<!doctype html|<html)\b", re.IGNORECASE)
_JSON = re.compile(rb"""\s*(?:\[\s*\{|\{\s*["'])""")
_XML = re.compile(rb"\s*<(?:\?xml|rss|feed)\b")


def has_table_ending(path: Path) -> bool:
    """Return whether a file is a table by the ending of its name."""
    endings = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSED]
    return bool(endings) and endings[-1] in FORMATS


def format_of_content(path: Path, beginning: bytes, named: str) -> str:
    """Return the format of a file by its first bytes if they show one that its name, of the format `named`, does not.

    Raise BadTable if the file is what a failed download leaves.
    """
    beginning = beginning.removeprefix(b"\xef\xbb\xbf")
    if beginning.startswith(_GIT_LFS):
        raise BadTable(f"{path} is a pointer of Git LFS, not the table itself; run `git lfs pull` or download it.")
    if named == "excel":  # old programs write HTML with this name, which `excel_table` reports
        return named
    if _WEB_PAGE.match(beginning):
        raise BadTable(f"{path} contains a web page, not a table; download the table again, and log in first if asked.")
    if named in ("csv", "tsv"):
        if _JSON.match(beginning):
            return "json"
        if _XML.match(beginning):
            return "xml"
    return named
