"""Open an index with its run, to recognise photos by classes, by products or by both."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from prodrec.core.base.artefact import JSON_FILES
from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.errors import BadOption, NotFound
from prodrec.core.base.scoring_views import CENTRE
from prodrec.pipeline.index_points import BOTH, CLASSES, PRODUCTS, calibration_of, point_of
from prodrec.pipeline.load import load

if TYPE_CHECKING:
    from prodrec.index.product_index import ProductIndex
    from prodrec.inference.indexed import IndexNetwork, ProductVoters
    from prodrec.inference.neighbours.operating_points import OperatingPoint
    from prodrec.inference.recognise import Recogniser


def is_index(path: Path) -> bool:
    """Return whether `path` is the directory of an index."""
    return (path / JSON_FILES["index"]).is_file()


def run_of_index(index: ProductIndex, run: str | Path | None = None) -> Path:
    """Return the directory of the run that made the vectors of an index.

    run: where it is; None is the place that the index names

    Raise NotFound.
    """
    if run is not None:
        path = Path(run)
        return path if path.exists() or not (Path("runs") / path).exists() else Path("runs") / path
    path = Path(os.path.relpath((index.path / index.header.run_path).resolve()))
    if not path.exists():
        raise NotFound(
            f"{index.path} was made by the run {index.header.run_name}, which is not at {path}; name its place with "
            "--run."
        )
    return path


def load_index(
    index: str | Path,
    *,
    run: str | Path | None = None,
    by: str = BOTH,
    operating_point: str | None = None,
    views: str = CENTRE,
    device: str = "auto",
    engine: str = TORCH,
    products: int = 5,
) -> Recogniser:
    """Open an index, and return its run ready to recognise photos and to find their nearest products.

    Args:
        index: directory of an index, made by `prodrec index build`.
        run: directory of the run, or its name in `runs/`; None is the place that the index names.
        by: classes (the classifier of the run), products (the vote of the nearest products) or both.
        operating_point: natural or balanced; None is natural.
        views: as in `load`.
        device: auto, cpu, cuda or cuda:N.
        engine: torch, onnx or openvino, or the directory of an export of the run, as in `load`.
        products: number of nearest products in every result.

    Raises:
        NotFound: if the index or its run does not exist.
        BadArtefact: if one of them is damaged, or the run is unfinished.
        Mismatch: if the vectors or the export were made by another run.
        BadOption: for an unknown way, point, views or engine.
    """
    from prodrec.index.product_index import ProductIndex

    if products < 1:
        raise BadOption(f"products={products} must be at least 1.")
    opened = ProductIndex.open(Path(index))
    base = load(
        run_of_index(opened, run),
        operating_point="plain",
        no_neighbours=True,
        views=views,
        device=device,
        engine=engine,
    )
    opened.require_run(base.run.fingerprint, name=str(base.run.path))
    point = point_of(opened.header, by, operating_point)
    calibration = calibration_of(opened.header, by, operating_point) if views == CENTRE else None
    network = cast(Any, base.network).fused.network
    base = replace(base, calibration=calibration, top_products=products)
    return _with_index(base, opened, network, point, alone=by == PRODUCTS, votes=by != CLASSES)


def load_run_or_index(
    path: Path,
    *,
    operating_point: str | None,
    no_neighbours: bool,
    by: str | None,
    run_of_index: str | Path | None,
    views: str = CENTRE,
    device: str,
    engine: str,
    products: int = 5,
) -> Recogniser:
    """Open a run, or an index with its run, by the options of a command. Raise BadOption for options of the other."""
    if is_index(path):
        if no_neighbours:
            raise BadOption("--no-neighbours is about a run; with an index, --by classes lets no product vote.")
        return load_index(
            path,
            run=run_of_index,
            by=by or BOTH,
            operating_point=operating_point,
            views=views,
            device=device,
            engine=engine,
            products=products,
        )
    for option, value in (("--by", by), ("--run", run_of_index)):
        if value is not None:
            raise BadOption(
                f"{option} {value} needs an index, and {path} is none; make one with `prodrec index build`."
            )
    return load(
        path,
        operating_point=operating_point,
        no_neighbours=no_neighbours,
        views=views,
        device=device,
        engine=engine,
    )


def index_of(recogniser: Recogniser) -> ProductIndex | None:
    """Return the version of the index that a recogniser searches; None if it is one of `load`."""
    network = _index_network(recogniser)
    return None if network is None else cast("ProductIndex", network.voters.index)


def with_products(recogniser: Recogniser, products: int) -> Recogniser:
    """Return a recogniser whose results have so many products; the same one if it searches no index."""
    network = _index_network(recogniser)
    if network is None or products == recogniser.top_products:
        return recogniser
    return replace(recogniser, network=replace(network, top=products), top_products=products)


def refreshed(recogniser: Recogniser) -> Recogniser:
    """Return a recogniser with the newest version of its index, or itself if it has that, or no index.

    Raise NotFound, BadArtefact, or Mismatch if the index was made anew by another run.
    """
    index, network = index_of(recogniser), _index_network(recogniser)
    if index is None or network is None:
        return recogniser
    newest = index.refreshed()
    if newest is index:
        return recogniser
    newest.require_run(recogniser.run.fingerprint, name=str(recogniser.run.path))
    return _with_index(
        recogniser, newest, network.network, network.point, alone=network.voters.alone, votes=bool(network.point.beta)
    )


def _index_network(recogniser: Recogniser) -> IndexNetwork | None:
    from prodrec.inference.indexed import IndexNetwork

    return recogniser.network if isinstance(recogniser.network, IndexNetwork) else None


def _with_index(
    base: Recogniser, index: ProductIndex, network: Any, point: OperatingPoint, *, alone: bool, votes: bool
) -> Recogniser:
    from prodrec.inference.indexed import IndexNetwork

    index.preload()  # here and not in the first request, which may be of a running service
    voters, taxonomy = _voters(index, base, alone=alone, votes=votes)
    return replace(
        base, network=IndexNetwork(network, voters, point, base.top_products), merged=taxonomy if votes else None
    )


def _voters(index: ProductIndex, base: Recogniser, *, alone: bool, votes: bool) -> tuple[ProductVoters, Any]:
    """Return the products of an index as voters, and the classes of the run and of the index."""
    import numpy as np
    import torch

    from prodrec.core.base.texts import factorize
    from prodrec.core.data.duplicates.groups import merge_groups
    from prodrec.inference.indexed import ProductVoters
    from prodrec.pipeline.index_classes import merge_paths

    level, device = index.header.level, base.device
    frame = index.frame("sku", "path", "predicted", "photo_hash")
    given = frame.filter(~frame["predicted"]) if votes else frame.clear()
    paths = [tuple(path) for path in given["path"].to_list()]
    classes = merge_paths(set(paths), base.run.taxonomy, level)
    count = classes.taxonomy.count(level)
    class_N = np.array([classes.class_of.get(path, -1) for path in paths], np.int64)
    group_N = np.zeros(0, np.int64)
    if len(given):
        codes = (factorize(given[column])[1].astype(np.int64) for column in ("sku", "photo_hash"))
        group_N = merge_groups(*codes)
    pairs = np.unique(np.stack([class_N, group_N])[:, class_N >= 0], axis=1)
    count_M = torch.from_numpy(np.bincount(pairs[0], minlength=count)).to(device)
    unvoted_U = torch.nonzero(count_M == 0)[:, 0]
    return ProductVoters(
        index=index,
        level=level,
        class_of=classes.class_of,
        count_M=count_M,
        new=classes.new,
        unvoted_U=unvoted_U[:0] if alone else unvoted_U,
        alone=alone,
    ), classes.taxonomy
