from __future__ import annotations

import pytest

from prodrec.core.base.corrections import correction_columns
from prodrec.core.base.errors import BadOption


def test_levels_follow_the_product() -> None:
    assert correction_columns(["root", "leaf"], refused="x") == ["id", "image", "title", "root", "leaf"]


@pytest.mark.parametrize("level", ["title", "decision", "why"])
def test_a_level_with_the_name_of_another_column_is_refused(level: str) -> None:
    with pytest.raises(BadOption, match="prepare the dataset with other names"):
        correction_columns(["root", level], refused="an audit", also=("why",))
