"""Parts of names by which a table and listed files are compared: without query, host, folders or ending."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from prodrec.core.data.photos.folder_photos import PHOTO_EXTENSIONS

if TYPE_CHECKING:
    import polars as pl

WEB_ADDRESS = r"^(?i)(?:[a-z][a-z0-9+.-]+:)?//"
"""A letter and a colon are a drive of Windows, not the scheme of an address."""

_FILE_ADDRESS = r"^(?i)file://(?:localhost)?/"
_ENDING = rf"(?i)\.(?:{'|'.join(PHOTO_EXTENSIONS)})$"
_QUERY_AFTER_ENDING = rf"(?i)(\.(?:{'|'.join(PHOTO_EXTENSIONS)}))[?].*$"

_SHARD_OF_HOST = r"^(?i)(cdn|img|image|images|static|media|assets|pic|photo|i|m|s)-?[0-9]{1,3}\."
"""img01.shop.example and img02.shop.example serve the same photos. shop1 and shop2 are different shops."""


def table_keys(names: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Add columns with the parts of the names in the column `name`.

    is_web:    whether the name is a web address
    full:      of a web address, all but scheme and fragment; of another name, the path relative to `folder`
    path:      of a web address, the path without host and query, decoded; of another name, `full` without a query
    with_query: base name and query
    identity:  equal for names that mean the same photo: of an address, host and path, decoded, and the query unless the
               path ends as a photo does, where it only states a version or a size
    """
    import polars as pl

    web = pl.col("name").str.contains(WEB_ADDRESS) & ~pl.col("name").str.contains(_FILE_ADDRESS)
    names = names.with_columns(is_web=web.fill_null(value=False))
    if not names["is_web"].any():
        return _file_keys(names, folder)
    is_web = pl.col("is_web")
    files = _file_keys(names.filter(~is_web), folder)
    return pl.concat([files, _web_keys(names.filter(is_web)).select(files.columns)])


def _file_keys(names: pl.DataFrame, folder: Path) -> pl.DataFrame:
    import polars as pl

    prefix = f"{folder.absolute().as_posix()}/"
    name = pl.col("name").str.replace(_FILE_ADDRESS, "/").str.replace_all("\\", "/", literal=True)
    full = name.str.strip_prefix(prefix).str.replace(r"^(?:\.?/+)+", "").str.replace_all(r"/{2,}", "/")
    full = full.str.normalize("NFC")
    return (
        names.with_columns(full=full)
        .with_columns(
            path=pl.col("full").str.replace(_QUERY_AFTER_ENDING, "${1}"),
            with_query=base_name("full"),
        )
        .with_columns(identity=pl.col("path"))
    )


def _web_keys(names: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    names = names.with_columns(full=pl.col("name").str.replace(WEB_ADDRESS, "").str.replace(r"#.*$", ""))
    path = pl.col("full").str.replace(r"[?].*$", "").str.replace(r"^[^/]*/?", "").str.replace(r"/+$", "")
    names = names.with_columns(path=path, query=pl.col("full").str.extract(r"([?].*)$").fill_null(""))
    names = names.with_columns(decode_percent(names["full"]).alias("identity"), decode_percent(names["path"]))
    identity = pl.col("identity").str.replace(_QUERY_AFTER_ENDING, "${1}").str.replace(_SHARD_OF_HOST, "${1}.")
    return names.with_columns(
        full=pl.col("full").str.normalize("NFC"), identity=identity, with_query=base_name("path") + pl.col("query")
    ).drop("query")


def decode_percent(names: pl.Series) -> pl.Series:
    """Return names with `%20` and the like decoded, in NFC. A sequence that is no UTF-8 is kept."""
    import polars as pl

    names = names.str.normalize("NFC")
    has_percent = names.str.contains(r"%[0-9A-Fa-f]{2}").fill_null(value=False)
    if not has_percent.any():
        return names
    encoded = names.filter(has_percent)
    decoded = pl.Series([_unquote(name) for name in encoded], dtype=pl.String).str.normalize("NFC")
    return names.scatter(has_percent.arg_true(), decoded)


def _unquote(name: str) -> str:
    try:
        return unquote(name, errors="strict")
    except UnicodeDecodeError:
        return name


def base_name(column: str) -> pl.Expr:
    """Return what follows the last slash of a name."""
    import polars as pl

    return pl.col(column).str.split("/").list.last()


def without_query(column: str) -> pl.Expr:
    """Return a file name without the query that wget leaves in it: a.jpg for a.jpg?v=1, or on Windows a.jpg@v=1."""
    import polars as pl

    return pl.col(column).str.replace(_QUERY_AFTER_ENDING.replace("[?]", "[?@]"), "${1}")


def without_ending(column: str) -> pl.Expr:
    """Return a name without its ending if that is the ending of a photo, else null."""
    import polars as pl

    return pl.when(has_photo_ending(column)).then(pl.col(column).str.replace(_ENDING, ""))


def has_photo_ending(column: str) -> pl.Expr:
    """Return whether a name has the ending of a photo."""
    import polars as pl

    return pl.col(column).str.contains(_ENDING)


def last_parts(column: str, count: int) -> pl.Expr:
    """Return the last `count` parts of a path, joined; null if it has fewer."""
    import polars as pl

    parts = pl.col(column).str.split("/")
    return pl.when(parts.list.len() >= count).then(parts.list.tail(count).list.join("/"))
