import math

import pytest
import torch

from nmt.search.scoring import LengthLimit, LengthPenalty


@pytest.mark.parametrize(
    ("alpha", "length", "expected"),
    [(0.0, 1, 1.0), (0.0, 30, 1.0), (1.0, 1, 1.0), (1.0, 7, 2.0), (1.0, 13, 3.0), (2.0, 7, 4.0), (0.5, 19, 2.0)],
)
def test_gnmt_penalty(alpha, length, expected):
    penalty = LengthPenalty(alpha)
    assert penalty(float(length)) == pytest.approx(expected)
    assert penalty(torch.tensor([float(length)])).tolist() == pytest.approx([expected])


def test_limits():
    limit = LengthLimit(factor=1.5, margin=10)
    assert [limit(length, None) for length in (5, 3, 1)] == [17, 14, 11]  # 7.5, 4.5 and 1.5 are rounded down
    assert [limit(length, 12) for length in (5, 3, 1)] == [12, 12, 11]
    assert LengthLimit(factor=0.0, margin=1)(5, None) == 1


@pytest.mark.parametrize("alpha", [-0.1, math.nan, math.inf])
def test_a_wrong_penalty_is_named(alpha):
    with pytest.raises(ValueError, match=f"^length_penalty={alpha} .*$"):
        LengthPenalty(alpha)


@pytest.mark.parametrize(
    ("factor", "margin", "message"),
    [
        (-1.0, 1, "max_length_factor=-1.0"),
        (math.nan, 1, "max_length_factor=nan"),
        (math.inf, 1, "max_length_factor=inf"),
        (1.0, 0, "max_length_margin=0"),
        (1.0, 1.5, "max_length_margin=1.5"),
    ],
)
def test_a_wrong_limit_is_named(factor, margin, message):
    with pytest.raises(ValueError, match=f"^{message} .*$"):
        LengthLimit(factor=factor, margin=margin)
