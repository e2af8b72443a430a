"""Start the classifiers of a new training from their classes, before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from prodrec.core.base import console, dist
from prodrec.core.base.errors import BadOption
from prodrec.pipeline.earlier_run import EarlierRun

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.train_state import TrainState
    from prodrec.models.classifier_start import FeatureSums
    from prodrec.models.families import Recipe
    from prodrec.models.network import RecognitionNetwork

PHOTOS_OF_A_CLASS = 16
"""Most photos of a class whose features are averaged. More change the mean little."""
TITLES_OF_A_CLASS = 16
"""Most titles of a class that are embedded: the text tower takes about as long as for photos."""
PHOTOS_FOR_THE_LENGTH = 256
"""Photos from which the mean length of features is computed if no means are needed."""


def start_classifiers(train_state: TrainState, recipe: Recipe, data: Dataset, *, workers: int | None) -> None:
    """Set the rows of the classifiers of all levels as `classifier_start` asks. All ranks must call this.

    With weights=RUN, classes that the run has start from its rows instead.

    Raise BadOption if the network predicts no level, or if names are embedded that have no text tower; BadArtefact if
    the run is unfinished or damaged.
    """
    networks = [cast("RecognitionNetwork", train_state.network)]
    if train_state.average is not None:
        networks.append(cast("RecognitionNetwork", train_state.average.module))
    earlier = EarlierRun.of(recipe, networks)
    if earlier is not None:
        earlier.load_layers()
    if recipe.network.classifier_start != "random":
        _start_from_classes(train_state, networks, recipe, data, workers=workers)
    if earlier is not None:
        earlier.load_classes(data)


def _start_from_classes(
    train_state: TrainState,
    networks: Sequence[RecognitionNetwork],
    recipe: Recipe,
    data: Dataset,
    *,
    workers: int | None,
) -> None:
    from prodrec.models.classifier_start import start_rows

    start, network = recipe.network.classifier_start, networks[0]
    if not network.level_heads:
        raise BadOption(f"classifier_start={start} is for the classifiers of levels, and heads has attributes alone.")
    means = _class_means(train_state, network, recipe, data, of_classes=start == "class-means", workers=workers)
    for level, mean in means.items():
        if start == "class-means":
            directions_CD = mean.sums_CD
        else:
            directions_CD = (_name_embeddings if start == "class-names" else _title_embeddings)(recipe, data, level)
        for each in networks:
            (head,) = (head for head in each.level_heads if head.level == level)
            start_rows(head.classifier, directions_CD, mean_length=mean.mean_length)


def _class_means(
    train_state: TrainState,
    network: RecognitionNetwork,
    recipe: Recipe,
    data: Dataset,
    *,
    of_classes: bool,
    workers: int | None,
) -> dict[str, FeatureSums]:
    """Return by level the sums of the features that its classifier sees, over training photos in their centre view.

    of_classes: take up to PHOTOS_OF_A_CLASS of every class; else PHOTOS_FOR_THE_LENGTH of all
    """
    import torch

    from prodrec.core.base.device import choose_workers
    from prodrec.core.data.batches import RowBatches, load_batches
    from prodrec.core.training.fold_batch_norms import folded_batch_norms
    from prodrec.inference.score import rank_batches
    from prodrec.models.classifier_start import FeatureSums

    heads, device = network.level_heads, train_state.device
    means = {}
    for head in heads:
        weight = head.classifier.weight
        means[head.level] = FeatureSums(head.classifier.classes, weight.shape[1], weight.dtype)
    if of_classes:
        rows = rows_of_classes(data, heads[-1].level, PHOTOS_OF_A_CLASS)
    else:
        rows = data.rows("train")
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), PHOTOS_FOR_THE_LENGTH)).astype(np.int64)]
    order, own_batches = rank_batches(np.sort(rows), batch_size=recipe.training.batch_size)
    source = RowBatches(data, recipe.photos, augment=False)
    loaded = load_batches(source, order, workers=choose_workers(workers, device, photos=data.photos is not None))
    network.eval()
    with (
        folded_batch_norms(network),
        torch.inference_mode(),
        train_state.autocast(),
        console.progress("starting the classifiers", total=len(rows), unit="photos") as advance,
    ):
        for number, batch in enumerate(loaded):
            if number >= own_batches:
                continue
            batch = batch.to_device(device, recipe.photos, channels_last=train_state.precision.channels_last)
            visual_BD = network.features(batch).visual_BD
            for head in heads:
                means[head.level].add(head.private(visual_BD), batch.labels_BL[:, head.column])
            advance(len(batch) * dist.world_size())
    for mean in means.values():
        mean.reduce(device)
    return means


def rows_of_classes(data: Dataset, level: str, most: int) -> NDArray[np.int64]:
    """Return up to `most` training rows of every class of a level, evenly spaced in the dataset."""
    rows_R = np.sort(data.rows("train"))
    class_R = data.labels_NL[rows_R, data.taxonomy.levels.index(level)]
    order_R = np.argsort(class_R, kind="stable")
    rows_R, class_R = rows_R[order_R], class_R[order_R]
    _, first_C, photos_C = np.unique(class_R, return_index=True, return_counts=True)
    photos_R, position_R = np.repeat(photos_C, photos_C), np.arange(len(rows_R)) - np.repeat(first_C, photos_C)
    kept_R = np.minimum(photos_R, most)
    # of n photos, k are kept: number i if it is the first one of its k-th of n
    is_kept_R = (position_R * kept_R) // photos_R != ((position_R - 1) * kept_R) // photos_R
    rows: NDArray[np.int64] = rows_R[is_kept_R & (class_R >= 0)].astype(np.int64)
    return rows


def _name_embeddings(recipe: Recipe, data: Dataset, level: str) -> Tensor:
    """Return the embeddings of "a photo of a NAME" for the classes of a level, C×D."""
    from prodrec.models.classifier_start import TEMPLATE
    from prodrec.models.open_clip_backbones import embed_texts

    names = data.taxonomy.names[data.taxonomy.levels.index(level)]
    texts = [TEMPLATE.format(name) for name in names]
    return embed_texts(recipe.network.backbone.partition(":")[2], recipe.network.weights, texts)


def _title_embeddings(recipe: Recipe, data: Dataset, level: str) -> Tensor:
    """Return the sum of the embeddings of the titles of every class of a level, C×D.

    They are up to TITLES_OF_A_CLASS titles of training photos, and those of its leaves in the class table. A class
    without a title has zeros. Raise BadOption if there is no title.
    """
    import torch

    from prodrec.models.open_clip_backbones import embed_texts

    titles_N = data.products().select("row", "title").sort("row")["title"].to_list()
    rows = [row for row in rows_of_classes(data, level, TITLES_OF_A_CLASS).tolist() if titles_N[row]]
    leaf_titles = {} if data.class_titles is None else dict(enumerate(data.class_titles.titles))
    leaves = np.array([leaf for leaf, title in leaf_titles.items() if title], np.int64)
    texts = [titles_N[row] for row in rows] + [leaf_titles[leaf] for leaf in leaves.tolist()]
    if not texts:
        raise BadOption(f"classifier_start=class-titles: {data.path} has no titles; use class-names.")
    own_R = data.labels_NL[rows, data.taxonomy.levels.index(level)]
    labels_R = np.concatenate([own_R, data.taxonomy.ancestors_of(leaves, data.taxonomy.leaf_level, level)])
    embeddings_RD = embed_texts(recipe.network.backbone.partition(":")[2], recipe.network.weights, texts)
    sums_CD = torch.zeros(data.taxonomy.count(level), embeddings_RD.shape[1])
    return sums_CD.index_add_(0, torch.from_numpy(labels_R.astype(np.int64)), embeddings_RD)
