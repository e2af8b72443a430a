from __future__ import annotations

import torch

from prodrec.models.classifier.score_buffer import ScoreBuffer


def test_a_buffer_that_grows_has_spare_numbers_for_a_few_more_classes() -> None:
    buffer, kind = ScoreBuffer(), {"dtype": torch.float32, "device": torch.device("cpu")}
    for count, expected in ((160, 160), (320, 340), (330, 340), (100, 340)):
        values = buffer.acquire(count, **kind)
        assert len(values) == expected
        buffer.release(values)
