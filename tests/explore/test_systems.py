"""The systems that are explored, and their heads."""

import pytest

from nmt.errors import UserError
from nmt.explore.analysis import analyse
from nmt.explore.beam_tree import beam_tree
from nmt.explore.systems import MAX_VARIANTS, AttentionSize, System


def test_a_system_describes_itself(systems: dict[str, System]) -> None:
    lstm, luong, transformer = (systems[name].info for name in ("lstm", "luong", "transformer"))
    assert (lstm.architecture, luong.architecture, transformer.architecture) == ("PlainRNN", "LuongRNN", "Transformer")
    assert (luong.source, luong.target) == ("en", "de")
    assert (lstm.kinds, lstm.heads) == ({}, [])
    assert (luong.kinds, luong.heads) == ({"cross": AttentionSize(layers=1, heads=1)}, [])
    assert transformer.kinds == dict.fromkeys(("cross", "encoder", "decoder"), AttentionSize(layers=1, heads=2))
    assert transformer.heads == ["cross.0.0", "cross.0.1", "encoder.0.0", "encoder.0.1", "decoder.0.0", "decoder.0.1"]
    assert (luong.beam_size, transformer.beam_size) == (5, 1)
    assert luong.has_beam and transformer.has_beam
    assert not transformer.reads_pictures
    assert (luong.max_length, transformer.max_length) == (1024, 512)


def test_heads_are_switched_off_in_a_copy(systems: dict[str, System]) -> None:
    system = systems["transformer"]
    complete, silenced = system.translator(), system.translator(["encoder.0.1", "cross.0.0"])
    assert system.translator(["cross.0.0", "encoder.0.1", "cross.0.0"]) is silenced
    assert system.translator([]) is complete
    scores = {translator.force_decode("one", "eins").score for translator in (complete, silenced)}
    assert len(scores) == 2


def test_an_ensemble_is_explored_like_a_run(ensemble: System) -> None:
    assert (ensemble.name, ensemble.info.architecture, ensemble.info.heads) == ("luong+transformer", "Ensemble", [])
    assert ensemble.info.kinds == {"cross": AttentionSize(layers=1, heads=1)}
    found = ensemble.translator().translate("one two")
    analysis, tree = analyse(ensemble, "one two"), beam_tree(ensemble, "one two")
    assert analysis.text == tree.text == found.text
    assert sum(analysis.log_probabilities) == pytest.approx(found.log_probability, abs=1e-4)
    assert analysis.attention.keys() == {"cross"}
    with pytest.raises(UserError, match="heads_off is for a single run"):
        ensemble.translator(["cross.0.0"])


def test_few_copies_stay_in_memory(systems: dict[str, System]) -> None:
    system = systems["transformer"]
    heads = system.info.heads[: MAX_VARIANTS + 1]
    first = system.translator(heads[:1])
    others = [system.translator([head]) for head in heads[1:-1]]
    assert system.translator(heads[:1]) is first  # now the most recent one, so the second is the oldest
    system.translator(heads[-1:])
    assert system.translator(heads[:1]) is first
    assert system.translator(heads[1:2]) is not others[0]


@pytest.mark.parametrize(("name", "head"), [("transformer", "encoder.1.0"), ("luong", "cross.0.0"), ("lstm", "x")])
def test_a_head_that_a_system_lacks_is_a_user_error(systems: dict[str, System], name: str, head: str) -> None:
    with pytest.raises(UserError, match=f"heads_off={head}"):
        systems[name].translator([head])
