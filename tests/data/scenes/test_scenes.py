"""The world of scenes: its pictures, its sentences, and its corpus."""

from itertools import islice
from random import Random

import numpy as np
import pytest

from nmt.data.scenes.colors import find_colors, mask_colors
from nmt.data.scenes.corpus import SceneCorpus
from nmt.data.scenes.descriptions import describe
from nmt.data.scenes.drawing import PAPER, PATCH_SIZE, RGB, draw, draw_sprites
from nmt.data.scenes.world import (
    COLORS,
    EMPTY,
    GRID,
    LOOKS,
    PICTURE,
    SYMBOLS,
    Group,
    Look,
    Scene,
    distance,
    find_arrangements,
    generate_scenes,
)
from nmt.errors import UserError

# The number of objects, their size, colour and shape.
Phrase = tuple[int, str, str, str]


def scene(*phrases: Phrase, relation: str = "above") -> Scene:
    """A scene with these groups, the first of which has the relation to the second."""
    places = {
        "above": ((1, 0), (4, 0)),
        "below": ((4, 0), (1, 0)),
        "left of": ((0, 1), (0, 4)),
        "right of": ((0, 4), (0, 1)),
    }
    steps = (0, 2) if relation in ("above", "below") else (2, 0)
    groups = []
    for (count, *look), (row, column) in zip(phrases, places[relation], strict=False):
        cells = tuple((row + steps[0] * index, column + steps[1] * index) for index in range(count))
        groups.append(Group(Look(*look), cells))
    return Scene(tuple(groups))


@pytest.mark.parametrize(
    ("scene", "english", "german"),
    [
        (
            scene((1, "small", "red", "circle")),
            "The picture shows a small red circle.",
            "Das Bild zeigt einen kleinen roten Kreis.",
        ),
        (
            scene((1, "large", "black", "diamond")),
            "The picture shows a large black diamond.",
            "Das Bild zeigt eine große schwarze Raute.",
        ),
        (
            scene((1, "large", "yellow", "cross")),
            "The picture shows a large yellow cross.",
            "Das Bild zeigt ein großes gelbes Kreuz.",
        ),
        (
            scene((3, "small", "brown", "cross")),
            "The picture shows three small brown crosses.",
            "Das Bild zeigt drei kleine braune Kreuze.",
        ),
        (
            scene((1, "small", "red", "circle"), (2, "large", "blue", "square")),
            "A small red circle is above two large blue squares.",
            "Ein kleiner roter Kreis ist über zwei großen blauen Quadraten.",
        ),
        (
            scene((1, "large", "green", "triangle"), (1, "small", "red", "diamond"), relation="below"),
            "A large green triangle is below a small red diamond.",
            "Ein großes grünes Dreieck ist unter einer kleinen roten Raute.",
        ),
        (
            scene((2, "small", "blue", "diamond"), (3, "large", "black", "ring"), relation="left of"),
            "Two small blue diamonds are left of three large black rings.",
            "Zwei kleine blaue Rauten sind links von drei großen schwarzen Ringen.",
        ),
        (
            scene((1, "small", "yellow", "diamond"), (1, "large", "brown", "ring"), relation="right of"),
            "A small yellow diamond is right of a large brown ring.",
            "Eine kleine gelbe Raute ist rechts von einem großen braunen Ring.",
        ),
        (
            scene((2, "large", "red", "circle"), (1, "small", "green", "cross"), relation="right of"),
            "Two large red circles are right of a small green cross.",
            "Zwei große rote Kreise sind rechts von einem kleinen grünen Kreuz.",
        ),
        (
            scene((3, "small", "red", "triangle"), (3, "small", "red", "diamond")),
            "Three small red triangles are above three small red diamonds.",
            "Drei kleine rote Dreiecke sind über drei kleinen roten Rauten.",
        ),
    ],
)
def test_scenes_are_described_in_both_languages(scene: Scene, english: str, german: str) -> None:
    assert describe(scene, "en") == english
    assert describe(scene, "de") == german


def test_colours_are_found_and_masked_by_their_order() -> None:
    english, german = (
        "A small red circle is above two large blue rings.",
        "Das Bild zeigt drei rote und schwarze Ringe.",
    )
    assert find_colors(english, "en") == ["red", "blue"]
    assert find_colors(german, "de") == ["rot", "schwarz"]
    assert find_colors("Rotes Brot, geroteter Kreis", "de") == ["rot"]
    assert mask_colors(english, "en", {1}) == "A small red circle is above two large ___ rings."
    assert mask_colors(german, "de", {0, 1}) == "Das Bild zeigt drei ___ und ___ Ringe."


def test_a_scene_has_groups_that_differ_and_exactly_one_relation() -> None:
    for each in islice(generate_scenes(Random(3)), 300):
        cells = [cell for group in each.groups for cell in group.cells]
        assert all(1 <= row < GRID - 1 and 1 <= column < GRID - 1 for row, column in cells)
        assert all(distance(a, b) >= 2 for a in cells for b in cells if a != b)
        assert len(set(cells)) == len(cells)
        if len(each.groups) == 2:
            first, second = each.groups
            assert each.relation in ("above", "below", "left of", "right of")
            assert (first.look.size, first.look.shape) != (second.look.size, second.look.shape)
            assert first.count <= second.count
            if first.count == second.count:
                assert each.relation in ("above", "left of")


def test_all_arrangements_of_two_objects_are_in_a_row_or_in_a_column() -> None:
    # In each of 5 rows and of 5 columns, 3 + 2 + 1 pairs of cells are at least 2 apart.
    assert len(find_arrangements((1, 1))) == 10 * 6
    assert len(find_arrangements((1,))) == 25


def test_a_picture_names_each_object_in_the_cell_of_its_centre() -> None:
    text = scene((1, "small", "red", "circle"), (2, "large", "blue", "square")).picture
    symbols = PICTURE.findall(text)
    assert "".join(symbols) == text and len(symbols) == GRID * GRID
    named = {index: symbol for index, symbol in enumerate(symbols) if symbol != EMPTY}
    # The first group starts at row 1, the second one at row 4 and has a step of two columns.
    assert named == {7: "<.small-red-circle>", 28: "<.large-blue-square>", 30: "<.large-blue-square>"}


def test_a_small_object_stays_in_its_cell_and_a_large_one_covers_half_of_its_neighbours() -> None:
    symbols = [EMPTY] * (GRID * GRID)
    symbols[2 * GRID + 3] = "<.small-red-square>"
    covered = (draw(symbols) != PAPER).any(-1)  # (height, width)
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    # 0.9 · 3.5 = 3.15 pixels around the centre: the 6 pixels whose centres are at most 2.5 away.
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (17, 22, 25, 30)
    symbols[2 * GRID + 3] = "<.large-green-circle>"
    picture = draw(symbols)
    rows = np.flatnonzero((picture != PAPER).any((1, 2)))
    assert (rows[0], rows[-1]) == (20 - 7, 20 + 6)  # the centre lies between rows 19 and 20
    assert picture[20, 28] == pytest.approx(RGB["green"])


def test_every_object_looks_different() -> None:
    sprites = draw_sprites()
    assert sprites.shape == (len(SYMBOLS), 3, 3 * PATCH_SIZE, 3 * PATCH_SIZE)
    assert len({sprite.tobytes() for sprite in sprites}) == len(SYMBOLS) == 1 + len(LOOKS)
    assert not sprites[0].any()


def corpus(*, picture: bool = True, words: bool = True, masked: float = 0.5, train_size: int = 60) -> SceneCorpus:
    return SceneCorpus(
        source="en",
        target="de",
        seed=1,
        picture=picture,
        words=words,
        masked=masked,
        train_size=train_size,
        val_size=20,
        test_size=40,
    )


def test_no_picture_occurs_twice_and_no_caption_in_two_splits() -> None:
    whole = corpus(train_size=400)
    pictures = [each.picture for name in whole.splits() for each in whole.scenes(name)]
    assert len(set(pictures)) == len(pictures) == 460
    captions = [set(whole.split(name)["target"]) for name in ("train", "val", "test")]
    assert not captions[0] & captions[1] and not captions[0] & captions[2] and not captions[1] & captions[2]
    assert whole.scenes("train")[:60] == corpus().scenes("train")  # a larger split starts with a smaller one


def test_the_source_has_the_picture_or_the_words_or_both_of_the_same_scenes() -> None:
    both, pictures, words = (corpus(), corpus(words=False), corpus(picture=False))
    assert both.split("test")["target"] == words.split("test")["target"] == pictures.split("test")["target"]
    rows = zip(*(each.split("test")["source"] for each in (both, pictures, words)), strict=True)
    assert all(together == f"{picture} {sentence}" for together, picture, sentence in rows)
    assert both.symbols == SYMBOLS and words.symbols == ()
    assert "___" in words.split("test")["source"][0] + words.split("test")["source"][1]


def test_hidden_colours_are_those_that_the_words_do_not_name() -> None:
    for share in (0.0, 0.5, 1.0):
        examples = corpus(masked=share).caption_examples("test")
        sources, targets = (corpus(masked=share).split("test")[side] for side in ("source", "target"))
        for example, source, target in zip(examples, sources, targets, strict=True):
            assert list(example.colors) == find_colors(target, "de")
            words = PICTURE.sub("", source)
            assert words.count("___") == len(example.hidden)
            assert len(find_colors(words, "en")) == len(example.colors) - len(example.hidden)
        num_hidden = sum(len(example.hidden) for example in examples)
        num_colors = sum(len(example.colors) for example in examples)
        assert num_hidden == {0.0: 0, 1.0: num_colors}.get(share, num_hidden)
        assert share != 0.5 or 0.3 < num_hidden / num_colors < 0.7
    assert all(
        example.hidden == tuple(range(len(example.colors))) for example in corpus(words=False).caption_examples("test")
    )


def test_other_words_do_not_tell_a_colour() -> None:
    """Among many scenes, each pair of a colour and another property is about as frequent as chance would have it."""
    scenes = list(islice(generate_scenes(Random(5)), 6000))
    groups = [group for each in scenes for group in each.groups]
    for others in zip(*((group.look.shape, group.look.size, group.count) for group in groups), strict=True):
        for value in set(others):
            colors = [group.look.color for group, other in zip(groups, others, strict=True) if other == value]
            assert all(0.13 < colors.count(color) / len(colors) < 0.21 for color in COLORS)  # chance: 0.167
    pairs = [(a.look.color, b.look.color) for a, b in (each.groups for each in scenes if len(each.groups) == 2)]
    assert 0.14 < sum(a == b for a, b in pairs) / len(pairs) < 0.19


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "fr"}, "scenes are described in en and de, not from fr to de"),
        ({"picture": False, "words": False}, "data.picture and data.words are both false"),
        ({"masked": 1.5}, "data.masked=1.5 must be a share from 0 to 1"),
        ({"val_size": 0}, "data.val_size=0 must be"),
        ({"test_size": 20_000}, "at most 10000 descriptions can be kept out of train"),
    ],
)
def test_wrong_arguments_are_refused(changes: dict[str, object], message: str) -> None:
    arguments = {"source": "en", "target": "de", "seed": 1, "picture": True, "words": True, "masked": 0.5}
    sizes = {"train_size": 60, "val_size": 20, "test_size": 40}
    with pytest.raises(UserError, match=message):
        SceneCorpus(**{**arguments, **sizes, **changes})  # type: ignore[arg-type]


def test_a_missing_split_is_named() -> None:
    with pytest.raises(UserError, match="there is no split 'dev' of scenes: choose one of train, val, test"):
        corpus().split("dev")
