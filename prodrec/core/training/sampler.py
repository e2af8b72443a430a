"""Samplers: how often the photos of a class are in an epoch.

A photo belongs to the group of its deepest label: a leaf, or the photos whose category path ends at a class above the
leaves. n_g is the number of training photos of a group. Every epoch has as many photos as there are training photos,
and a photo of group g has a share in it in proportion to

    images    1          every photo once
    sqrt      1 / √n_g   square root sampling (Mahajan et al. 2018, "Exploring the limits of weakly supervised
                         pretraining", §2.2)
    classes   1 / n_g    class-balanced sampling (Kang et al. 2020, "Decoupling representation and classifier for
                         long-tailed recognition", eq. 1 with q = 0; sqrt is q = 1/2, images is q = 1)

In the papers the number of photos of a group in an epoch is random. Here it differs from its expected value by less
than one, and a group repeats a photo only after all its photos.

Logit adjustment uses the shares of the classes in the sampled epochs, not those in the dataset: `sampled_images`. Class
weights and margins use the numbers of different photos, which a sampler does not change.

Shapes: R training photos, G groups, L levels, C classes of a level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from prodrec.core.base.taxonomy import Taxonomy

Sampler = Literal["images", "sqrt", "classes"]
POWERS: dict[Sampler, float] = {"images": 1.0, "sqrt": 0.5, "classes": 0.0}
"""q: the photos of a group in an epoch are in proportion to n_g^q."""


def group_of_rows(labels_RL: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the group of every row: rows with the same deepest label have the same number in 0..G-1."""
    depth_R = (labels_RL >= 0).sum(axis=1) - 1
    deepest_R = np.take_along_axis(labels_RL, depth_R[:, None], axis=1)[:, 0].astype(np.int64)
    return np.unique(depth_R * (deepest_R.max(initial=0) + 1) + deepest_R, return_inverse=True)[1].astype(np.int64)


def sample_rows(
    rows_R: NDArray[np.int64], group_R: NDArray[np.int64], sampler: Sampler, *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return the rows of an epoch in their order, R again. It depends only on the arguments."""
    random = np.random.default_rng([seed, epoch])
    size_G = np.bincount(group_R)
    draws_G = _draws(size_G, sampler, random)
    drawn_group_R = random.permutation(np.repeat(np.arange(len(size_G)), draws_G))
    shuffled = random.permutation(len(rows_R))
    own_R = rows_R[shuffled][np.argsort(group_R[shuffled], kind="stable")]  # rows of group 0 in random order, of 1, …
    # The j-th draw of a group is its row number j, and after the last one its first row again.
    by_group_R = np.argsort(drawn_group_R, kind="stable")
    group_of_draw_R = drawn_group_R[by_group_R]
    j_R = np.arange(len(rows_R)) - (np.cumsum(draws_G) - draws_G)[group_of_draw_R]
    first_G = np.cumsum(size_G) - size_G
    sampled_R = np.empty_like(rows_R)
    sampled_R[by_group_R] = own_R[first_G[group_of_draw_R] + j_R % size_G[group_of_draw_R]]
    return sampled_R


def _draws(size_G: NDArray[np.int64], sampler: Sampler, random: np.random.Generator) -> NDArray[np.int64]:
    """Return how many draws every group has: R in all, each the rounded share of the group (systematic sampling)."""
    order = random.permutation(len(size_G))
    ends_G = np.cumsum(size_G[order] ** POWERS[sampler])
    ends_G *= size_G.sum() / ends_G[-1]
    ends_G[-1] = size_G.sum()  # exactly
    draws_G = np.empty(len(size_G), np.int64)
    draws_G[order] = np.diff(np.floor(ends_G + random.random()), prepend=0.0)
    return draws_G


def sampled_images(
    train_images: Mapping[str, NDArray[np.int64]], taxonomy: Taxonomy, sampler: Sampler
) -> dict[str, NDArray[np.float64]]:
    """Return numbers by level that are in proportion to the photos of every class [C] in an epoch.

    train_images: number of training photos of every class, by level. With `images`, the result equals it
    """
    sampled_by_level: dict[str, NDArray[np.float64]] = {}
    levels = list(reversed(taxonomy.levels))
    for depth, level in enumerate(levels):
        images_C = np.asarray(train_images[level], np.float64)
        below_C: NDArray[np.float64] = np.zeros(len(images_C))
        sampled_below_C = below_C
        if depth:  # the sums over the classes below every class
            child, parents = levels[depth - 1], taxonomy.parents[len(levels) - depth]
            below_C, sampled_below_C = (
                np.bincount(parents, weights=values, minlength=len(images_C)).astype(np.float64)
                for values in (train_images[child], sampled_by_level[child])
            )
        ending_C = images_C - below_C
        sampled_C = np.where(ending_C > 0, ending_C.clip(min=1) ** POWERS[sampler], 0)
        sampled_by_level[level] = sampled_below_C + sampled_C
    return sampled_by_level
