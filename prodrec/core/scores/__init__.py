"""The one schema of scores.h5: what a run said about every photo, beside the truth.

Root attributes: the artefact header (`made_from` and `made_by` as JSON), rows, levels, attributes, splits, and where
the scores come from (run, family, seed, with_titles, recipe). Datasets, N rows in ascending order of `row`:

    id                      [N]    fixed-length UTF-8, compressed where wider than 64 bytes
    row                     [N]    int64     the row in the dataset
    split                   [N]    uint8     code of artefact.SPLITS
    labels/<level>          [N]    int32     class index at that level
    attributes/<name>       [N]    int32     0 = absent, else 1 + index of the state (S eq. 7)
    features                [N,D]  float16
    scores/<level>          [N,C]  float16   unnormalised, row-chunked, uncompressed; only levels that the run scores,
                                             which may be any of them, or none where attributes are scored
    top_k/<level>/scores    [N,K]  float16   instead of scores/<level>: the K best, best first,
    top_k/<level>/classes   [N,K]  int32     ties towards the lower class index
    attribute_scores/<name> [N,m]  float16   unnormalised; column s is state s, code s + 1; only scored attributes,
                                             all states also in a top-k file
    classes/<level>/name    [b]    uint8, the UTF-8 bytes of all names in index order, one behind the other;
                                   name_offsets [C+1] int64, where each begins;  parent [C] int32;
                                   train_images [C] int64
    states/<attribute>      [b]    uint8;  <attribute>_offsets [m+1] int64

A row is known by `row` together with the dataset's fingerprint in `made_from`; ids may repeat in a table. At least one
level or one attribute is scored. In a top-k file a score that is absent is at most the smallest one kept. `/` in a
level's or attribute's name stands as %2F in the group's name. Names of classes are flat arrays, so that a million open
in well under a second.
"""

from prodrec.core.scores.chunk import ScoreChunk
from prodrec.core.scores.reader import Scores, open_scores
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import Columns, ScoresWriter

__all__ = ["Columns", "Origin", "ScoreChunk", "Scores", "ScoresWriter", "open_scores"]
