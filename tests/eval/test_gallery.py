"""The photos of a gallery equal those of a plain calculation over all rows at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.scores.reader import open_scores
from prodrec.eval import gallery
from prodrec.eval.gallery import choose_photos
from prodrec.eval.gallery_contents import GalleryOptions
from prodrec.eval.report.row_results import evaluate_rows


def expected_predictions(
    drawn: Any, level: str = "leaf", split: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return row, predicted class, true class and confidence of the photos of a split, by the scores of the leaves."""
    at = drawn.taxonomy.levels.index(level)
    scores = drawn.scores["leaf"].astype(np.float64)
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    above = drawn.taxonomy.ancestors()[:, at]
    shares = np.stack([shares[:, above == c].sum(1) for c in range(drawn.taxonomy.count(level))], axis=1)
    inside = drawn.split == split
    return drawn.rows[inside], shares.argmax(1)[inside], drawn.labels[inside, at], shares.max(1)[inside]


@pytest.mark.parametrize("level", ["leaf", "root"])
def test_confident_errors_come_first(draw_scores: Any, level: str) -> None:
    drawn = draw_scores(ties=False)
    rows, predicted, true, confidence = expected_predictions(drawn, level)
    wrong = predicted != true
    expected = rows[wrong][np.argsort(-confidence[wrong], kind="stable")][:9]
    with open_scores(drawn.path) as scores:
        selected = choose_photos(scores, GalleryOptions(only="errors", count=9, level=level))
    assert [photo.row for photo in selected.photos] == expected.tolist()
    assert (selected.images, selected.errors) == (len(rows), int(wrong.sum()))
    first = selected.photos[0]
    where = rows.tolist().index(first.row)
    names = drawn.taxonomy.names[drawn.taxonomy.levels.index(level)]
    assert (first.predicted_class, first.true_class) == (
        names[predicted[where]],
        names[true[where]],
    ) and not first.correct
    assert first.confidence == pytest.approx(confidence[where]) and first.id == f"产品{first.row}"


def test_unsure_correct_photos_of_a_class(draw_scores: Any) -> None:
    drawn = draw_scores(ties=False)
    rows, predicted, true, confidence = expected_predictions(drawn)
    leaf = int(np.bincount(true).argmax())
    inside = (true == leaf) & (predicted == true)
    with open_scores(drawn.path) as scores:
        selected = choose_photos(
            scores, GalleryOptions(only="right", sort="unsure", leaf=drawn.taxonomy.leaves[leaf], count=500)
        )
        root = drawn.taxonomy.path(leaf)[0]
        assert (
            choose_photos(scores, GalleryOptions(root=root)).images
            == (drawn.labels[drawn.split == 1, 0] == int(root[-1])).sum()
        )
    assert [photo.row for photo in selected.photos] == rows[inside][np.argsort(confidence[inside])].tolist()
    assert all(photo.correct for photo in selected.photos) and selected.images == (true == leaf).sum()


def test_the_selection_depends_on_the_seed_and_not_on_the_chunks(
    draw_scores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = draw_scores()
    with open_scores(drawn.path) as scores:
        first, other = (choose_photos(scores, GalleryOptions(seed=seed, count=20)).photos for seed in (0, 1))
        monkeypatch.setattr("prodrec.core.scores.reader.MAX_CHUNK_ROWS", 7)
        again = choose_photos(scores, GalleryOptions(seed=0, count=20)).photos
    assert first == again != other
    assert len({photo.row for photo in first}) == 20


@pytest.mark.parametrize("level", ["leaf", "root"])
def test_a_top_k_file_with_all_classes_gives_the_same(draw_scores: Any, level: str) -> None:
    selected = []
    for name, top_k in (("dense", None), ("kept", 12)):
        with open_scores(draw_scores(name, top_k=top_k).path) as scores:
            selected.append(choose_photos(scores, GalleryOptions(level=level, sort="confident")))
    dense, kept = ([(p.row, p.predicted_class, round(p.confidence, 9)) for p in one.photos] for one in selected)
    assert sorted(dense) == sorted(kept) and selected[1].top_k is None


def test_direct_and_summed_predictions_agree(draw_scores: Any) -> None:
    for name, top_k in (("dense", None), ("kept", 5)):
        with open_scores(draw_scores(name, top_k=top_k).path) as scores:
            for chunk in scores.chunks():
                direct, summed = (
                    gallery.predict_class(chunk, "leaf", above) for above in (None, np.arange(12, dtype=np.int32))
                )
                assert np.array_equal(direct[0], summed[0])
                np.testing.assert_allclose(direct[1], summed[1], rtol=1e-12)


def test_probabilities_of_a_top_k_file_sum_to_1_over_the_stored_classes(draw_scores: Any) -> None:
    drawn = draw_scores(top_k=2)
    with open_scores(drawn.path) as scores:
        selected = choose_photos(scores, GalleryOptions(sort="unsure", count=1))
    assert selected.top_k == 2 and selected.photos[0].confidence == pytest.approx(0.5)


def test_levels_above_the_leaves(draw_scores: Any) -> None:
    """A run that scored the roots only is evaluated on them."""
    drawn = draw_scores(scored=("root",), ties=False)
    with open_scores(drawn.path) as scores:
        selected = choose_photos(scores, GalleryOptions(sort="confident", count=3))
        with pytest.raises(Mismatch, match="has scores of root only, which do not determine the leaf"):
            choose_photos(scores, GalleryOptions(level="leaf"))
    values = drawn.scores["root"][drawn.split == 1].astype(np.float64)
    best = (np.exp(values).max(1) / np.exp(values).sum(1)).max()
    assert selected.level == "root" and selected.photos[0].confidence == pytest.approx(best)


def test_a_level_is_evaluated_by_the_same_scores_as_in_a_report(predicted: Any) -> None:
    """Middle and leaf have different roots: gallery and report use the leaf."""
    path = predicted("m", truth=[0, 3], best={"middle": [2, 0], "leaf": [0, 3]})
    with open_scores(path) as scores:
        assert choose_photos(scores, GalleryOptions(level="root")).errors == 0
        (chunk,) = evaluate_rows(scores, "test", ["root"])
    assert chunk.positions["root"].tolist() == [0, 0]


def test_equal_scores_go_to_the_lower_class() -> None:
    from prodrec.core.scores.chunk import ScoreChunk

    nothing = np.zeros(2)
    scores = {"leaf": np.array([[1, 1, 0, 1], [0, 2, 2, 0]], np.float32)}
    chunk = ScoreChunk(nothing, nothing, nothing, nothing, nothing, nothing, scores)  # type: ignore[arg-type]
    assert gallery.predict_class(chunk, "leaf", None)[0].tolist() == [0, 1]
    assert gallery.predict_class(chunk, "leaf", np.arange(4, dtype=np.int32))[0].tolist() == [0, 1]
    assert gallery.predict_class(chunk, "leaf", np.array([1, 1, 0, 0], np.int32))[0].tolist() == [1, 0]


@pytest.mark.parametrize("top_k", [None, 3])
def test_a_photo_without_a_label_is_neither_right_nor_wrong(predicted: Any, top_k: int | None) -> None:
    """Row 1 ends at the middle level, row 2 at the root; row 3 is wrong."""
    path = predicted("run", truth=[0, 2, 3, 4], best={"leaf": [0, 2, 3, 3]}, depths=[3, 2, 1, 3], top_k=top_k)
    with open_scores(path) as scores:
        every = choose_photos(scores, GalleryOptions())
        errors, right = (choose_photos(scores, GalleryOptions(only=only)) for only in ("errors", "right"))
        middle = choose_photos(scores, GalleryOptions(level="middle"))
        of_root = choose_photos(scores, GalleryOptions(root="A"))
    photos = {photo.row: photo for photo in every.photos}
    true = {row: (photo.true_level, photo.true_class, photo.correct) for row, photo in photos.items()}
    assert true == {
        0: (None, "0", True), 1: ("middle", "b", None), 2: ("root", "B", None), 3: (None, "4", False)
    }  # fmt: skip
    assert (every.images, every.errors, every.without_label) == (2, 1, 2)
    assert [photo.row for photo in errors.photos] == [3] and [photo.row for photo in right.photos] == [0]
    assert {photo.row: photo.true_class for photo in middle.photos} == {0: "a", 1: "b", 2: "B", 3: "c"}
    assert (middle.images, middle.errors, middle.without_label) == (3, 0, 1)
    assert (of_root.images, of_root.errors, of_root.without_label) == (1, 0, 1)
    as_json = {photo["row"]: photo for photo in every.as_json()["photos"]}
    assert as_json[1]["right"] is None and as_json[1]["true_level"] == "middle" and "true_level" not in as_json[0]
    assert every.as_json()["without_label"] == 2


def test_photos_that_all_lack_a_label(predicted: Any) -> None:
    path = predicted("run", truth=[0, 2], best={"leaf": [0, 2]}, depths=[2, 1])
    message = (
        "none of the 2 photos has a label at level leaf, so none is right or wrong; omit --only errors, or give "
        "another --level"
    )
    with open_scores(path) as scores:
        with pytest.raises(BadOption, match=message):
            choose_photos(scores, GalleryOptions(only="errors"))
        assert len(choose_photos(scores, GalleryOptions()).photos) == 2  # the remedies of the message
        assert choose_photos(scores, GalleryOptions(only="right", level="root")).images == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leaf": "clas 1"}, r"--leaf clas 1: .* no such class of level leaf \(did you mean class 1\?\)"),
        ({"root": "class 1"}, "--root class 1: .* no such class of level root"),
        ({"level": "leav"}, r"--level leav: .* root, leaf \(did you mean leaf\?\)"),
        ({"split": "train"}, "no rows of split 'train'"),
    ],
)
def test_unknown_names_are_refused(draw_scores: Any, options: dict[str, str], message: str) -> None:
    with open_scores(draw_scores().path) as scores, pytest.raises(BadOption, match=message):
        choose_photos(scores, GalleryOptions(**options))  # type: ignore[arg-type]


def test_a_gallery_without_photos_is_refused(draw_scores: Any) -> None:
    with open_scores(draw_scores(right=50).path) as scores, pytest.raises(BadOption, match=r"none of the .* is wrong"):
        choose_photos(scores, GalleryOptions(only="errors"))


@pytest.mark.parametrize("options", [{"only": "wrong"}, {"sort": "best"}, {"split": "tests"}, {"seed": -1}])
def test_unknown_choices_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match=f"--{next(iter(options))}"):
        GalleryOptions(**options)
