"""Scenes as a corpus: the source is a picture, or words of which some are masked, or both; the target describes it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import datasets

from nmt.checks import check_sizes
from nmt.data.captions import CaptionExample
from nmt.data.corpus import FEATURES, Corpus
from nmt.data.scenes.colors import find_colors, mask_colors
from nmt.data.scenes.descriptions import describe
from nmt.data.scenes.world import COLORS, SYMBOLS, Scene, generate_scenes
from nmt.errors import UserError

MAX_HELD_OUT = 10_000
"""Maximum number of scenes in val and test, whose descriptions do not occur in train: about 160,000 different ones
exist."""

GENERATION_ORDER = ("test", "val", "train")
"""The order in which splits are generated, so that each is independent of the sizes of those after it."""


class SceneCorpus(Corpus):
    """Scenes with their descriptions.

    No scene occurs twice, and no description occurs in two splits. The scenes depend on the seed and the sizes alone:
    corpora with pictures, words or both describe the same scenes, and more `masked` words include fewer.

    Args:
        source: the language of the source's words, "en" or "de".
        target: the language of the descriptions, the other one.
        seed: determines scenes and masked words.
        picture: the source has the picture.
        words: the source has the description in the source language, behind the picture.
        masked: share of the colour words of the source that are masked, 0 to 1.
        train_size: number of pairs in train.
        val_size: number of pairs in val.
        test_size: number of pairs in test.

    Raises:
        UserError: there is no such direction, the source has neither pictures nor words, or a number is out of range.
    """

    def __init__(
        self,
        *,
        source: str,
        target: str,
        seed: int,
        picture: bool,
        words: bool,
        masked: float,
        train_size: int,
        val_size: int,
        test_size: int,
    ) -> None:
        if {source, target} != {"en", "de"}:
            raise UserError(
                f"scenes are described in en and de, not from {source} to {target}: choose one for data.source and the "
                "other for data.target"
            )
        if not picture and not words:
            raise UserError("data.picture and data.words are both false: the source needs one of them")
        super().__init__(source=source, target=target)
        if not 0 <= masked <= 1:
            raise UserError(f"data.masked={masked} must be a share from 0 to 1")
        self._sizes = {"train": train_size, "val": val_size, "test": test_size}
        check_sizes(**{f"data.{name}_size": size for name, size in self._sizes.items()})
        if val_size + test_size > MAX_HELD_OUT:
            raise UserError(
                f"data.val_size and data.test_size are {val_size + test_size} together, but at most {MAX_HELD_OUT} "
                "descriptions can be kept out of train"
            )
        self.seed = seed
        self.picture = picture
        self.has_words = words
        self.masked = masked
        self._scenes: dict[str, list[Scene]] = {}

    @property
    def symbols(self) -> tuple[str, ...]:
        return SYMBOLS if self.picture else ()

    def splits(self) -> list[str]:
        return list(self._sizes)

    def split(self, name: str) -> datasets.Dataset:
        rows = [
            {"source": self._source_text(scene, hidden), "target": describe(scene, self.target)}
            for scene, hidden in zip(self.scenes(name), self._hidden(name), strict=True)
        ]
        return datasets.Dataset.from_list(rows, features=FEATURES, split=datasets.NamedSplit(name))

    def caption_examples(self, name: str) -> list[CaptionExample]:
        return [
            CaptionExample(
                colors=tuple(find_colors(describe(scene, self.target), self.target)),
                hidden=tuple(sorted(hidden if self.has_words else range(len(scene.groups)))),
                num_choices=len(COLORS),
            )
            for scene, hidden in zip(self.scenes(name), self._hidden(name), strict=True)
        ]

    def scenes(self, name: str) -> list[Scene]:
        """The scenes of a split.

        Raises:
            UserError: there is no split of that name.
        """
        if name not in self._sizes:
            raise UserError(f"there is no split {name!r} of scenes: choose one of {', '.join(self._sizes)}")
        if name not in self._scenes:
            self._generate(last=name)
        return self._scenes[name]

    def _generate(self, *, last: str) -> None:
        """Generates the splits up to `last`."""
        scenes = generate_scenes(Random(f"{self.seed} scenes"))
        pictures: set[str] = set()
        described: set[str] = set()  # in earlier splits
        for name in GENERATION_ORDER:
            self._scenes[name] = []
            own: set[str] = set()
            while len(self._scenes[name]) < self._sizes[name]:
                scene = next(scenes)
                picture, sentence = scene.picture, describe(scene, "en")
                if picture not in pictures and sentence not in described:
                    pictures.add(picture)
                    own.add(sentence)
                    self._scenes[name].append(scene)
            described |= own
            if name == last:
                break

    def _hidden(self, name: str) -> Iterator[set[int]]:
        """The indices of the masked colour words of each scene of a split."""
        random = Random(f"{self.seed} masks {name}")
        for scene in self.scenes(name):
            draws = [random.random() for _ in scene.groups]  # a group has one colour
            yield {index for index, draw in enumerate(draws) if draw < self.masked}

    def _source_text(self, scene: Scene, hidden: set[int]) -> str:
        parts = [scene.picture] if self.picture else []
        if self.has_words:
            parts.append(mask_colors(describe(scene, self.source), self.source, hidden))
        return " ".join(parts)
