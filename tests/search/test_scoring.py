"""The length penalty, the length limit and the forced end."""

import math
import re

import pytest
import torch

from nmt.errors import UserError
from nmt.search.scoring import MAX_LENGTH, LengthLimit, LengthPenalty


@pytest.mark.parametrize(
    ("alpha", "length", "expected"),
    [(0.0, 1, 1.0), (0.0, 30, 1.0), (1.0, 1, 1.0), (1.0, 7, 2.0), (1.0, 13, 3.0), (2.0, 7, 4.0), (0.5, 19, 2.0)],
)
def test_the_length_penalty_is_gnmts(alpha: float, length: int, expected: float) -> None:
    penalty = LengthPenalty(alpha)
    assert penalty(float(length)) == pytest.approx(expected)
    assert penalty(torch.tensor([float(length)])).tolist() == pytest.approx([expected])


def test_the_length_limit_is_rounded_down_and_capped_by_the_model() -> None:
    limit = LengthLimit(factor=1.5, margin=10, min_length=0)
    assert [limit(length, None) for length in (5, 3, 1)] == [17, 14, 11]  # 7.5, 4.5 and 1.5 are rounded down
    assert [limit(length, 12) for length in (5, 3, 1)] == [12, 12, 11]
    assert LengthLimit(factor=0.0, margin=1, min_length=0)(5, None) == 1
    assert torch.tensor(LengthLimit(factor=1e300, margin=1, min_length=0)(5, None)) == MAX_LENGTH


def test_the_limit_has_room_for_the_minimum_length_unless_the_model_has_not() -> None:
    limit = LengthLimit(factor=1.0, margin=2, min_length=6)
    assert [limit(length, None) for length in (2, 5, 8)] == [7, 7, 10]  # six tokens and eos
    assert limit(2, 5) == 5


@pytest.mark.parametrize("alpha", [-0.1, math.nan, math.inf])
def test_a_wrong_length_penalty_is_a_user_error(alpha: float) -> None:
    with pytest.raises(UserError, match=f"^length_penalty={alpha} .*$"):
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
def test_a_wrong_length_limit_is_a_user_error(factor: float, margin: int, message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)} .*$"):
        LengthLimit(factor=factor, margin=margin, min_length=0)
