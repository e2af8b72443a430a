from __future__ import annotations

import numpy as np
import pytest

from prodrec import prepare
from prodrec.core.base.errors import BadOption
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.demo.catalogue import DrawnCatalogue
from prodrec.models.network_config import NetworkConfig
from prodrec.models.word_targets import choose_word_targets


@pytest.fixture(scope="module")
def data(drawn: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("words") / "dataset"
    prepare(drawn.table, images=drawn.photos, out=path)
    return open_dataset(path)


def targets_of(data: Dataset, **settings: object) -> tuple[list[str], np.ndarray]:
    targets = choose_word_targets(NetworkConfig(heads=("leaf", "words"), **settings), data)  # type: ignore[arg-type]
    words = np.flatnonzero(targets.target_of_word >= 0)
    assert targets.target_of_word[words].tolist() == list(range(len(targets)))
    return [data.vocabulary.words[word - 1] for word in words], targets.weights_W


def titles_with(data: Dataset, word: str) -> int:
    tokens_RT = data.tokens.padded(data.rows("train"))
    return int((tokens_RT == data.vocabulary.id_of(word)).any(1).sum())


def test_words_of_enough_training_titles(data: Dataset) -> None:
    words, weights_W = targets_of(data, word_target_rows=5)
    expected = [word for word in data.vocabulary.words if titles_with(data, word) >= 5]
    assert words == expected and len(words) > 2 and (weights_W == 1).all()
    most, _ = targets_of(data, word_target_rows=5, word_target_count=3)
    assert len(most) == 3 and min(titles_with(data, word) for word in most) >= max(
        titles_with(data, word) for word in words if word not in most
    )


def test_rare_words_weigh_more_with_idf(data: Dataset) -> None:
    words, weights_W = targets_of(data, word_target_rows=5, word_target_weights="idf")
    n = len(data.rows("train"))
    expected = [max(np.log(n / titles_with(data, word)), 1e-3) for word in words]
    np.testing.assert_allclose(weights_W, expected, rtol=1e-6)


def test_words_of_class_names_are_no_targets_beyond_the_class(data: Dataset) -> None:
    words, _ = targets_of(data, word_target_rows=2)
    beyond, _ = targets_of(data, word_target_rows=2, word_targets="beyond-class")
    names = " ".join(name.lower() for level in data.taxonomy.names for name in level).split()
    removed = set(words) - set(beyond)
    assert removed and set(beyond) < set(words) and removed <= set(names)


def test_too_few_words_are_refused(data: Dataset) -> None:
    with pytest.raises(BadOption, match=r"0 of the .* words .* lower word_target_rows, or omit words"):
        targets_of(data, word_target_rows=100_000)
