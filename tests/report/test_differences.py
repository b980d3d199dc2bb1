"""Where a translation differs from its reference."""

import pytest

from nmt.report.differences import Segment, mark_differences


@pytest.mark.parametrize(
    ("translation", "reference", "segments"),
    [
        ("Ein Hund.", "Ein Hund.", [Segment("Ein Hund.")]),
        ("Ein Hund.", "Eine Katze.", [Segment("Ein Hund", is_different=True), Segment(".")]),
        ("Der Hund  läuft", "Der große, alte Hund läuft", [
            Segment("Der "), Segment("", missing="große, alte"), Segment("Hund  läuft")
        ]),
        ("Der Hund", "Der Hund läuft.", [Segment("Der Hund"), Segment("", missing="läuft.")]),
        ("Ein Hund da", "Hund", [
            Segment("Ein", is_different=True), Segment(" Hund "), Segment("da", is_different=True)
        ]),
        ("", "Hund", [Segment("", missing="Hund")]),
        ("Hund", "", [Segment("Hund", is_different=True)]),
        ("", "", []),
        ("我不喝茶", "我不喝酒", [Segment("我不喝"), Segment("茶", is_different=True)]),
    ],
)  # fmt: skip
def test_words_that_the_reference_lacks_are_marked(translation: str, reference: str, segments: list[Segment]) -> None:
    assert mark_differences(translation, reference) == segments
    assert "".join(segment.text for segment in segments) == translation
