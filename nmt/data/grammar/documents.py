"""Documents of two sentences: what a sentence needs from the one before it.

    The animal did not cross the street. It was too tired.     Das Tier überquerte die Straße nicht. Es war zu müde.
    The animal did not cross the street. It was too wide.      … Sie war zu breit.

The second sentence alone does not tell whether "it" is er, sie or es.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from nmt.data.grammar.ambiguity import find_ambiguous_pronoun
from nmt.data.grammar.corpus import MAX_WORDS, GeneratedCorpus, take_unused
from nmt.data.grammar.phrases import GrammarPair, PhrasePair, align_words, finish_sentence, split_words
from nmt.data.grammar.sentences import SentenceWriter
from nmt.data.pronouns import PronounExample
from nmt.errors import UserError

MAX_DOCUMENTS = 200_000
"""How many different documents the grammar was tested to generate for train, val and test together."""

MAX_PRONOUN_DOCUMENTS = 5_000
"""How many different documents the grammar was tested to generate for pronouns."""


@dataclass(frozen=True)
class Document:
    """Two sentences with their translations, English to German.

    Attributes:
        joined: both as one pair, whose indices count the words of both.
        sentences: each as a pair of its own.
    """

    joined: GrammarPair
    sentences: tuple[GrammarPair, GrammarPair]

    @classmethod
    def of(cls, first: PhrasePair, second: PhrasePair) -> Document:
        """A document of two statements."""
        joined = finish_sentence(first + align_words(".", ".") + second, ".")
        return cls(joined, (finish_sentence(first, "."), finish_sentence(second, ".")))

    @property
    def source(self) -> str:
        return self.joined.source

    @property
    def target(self) -> str:
        return self.joined.target


def generate_documents(seed: int) -> Iterator[Document]:
    """Yields documents forever. In about half of them, a pronoun of the second sentence refers to the first."""
    writer = SentenceWriter(Random(f"{seed} documents"))
    while True:
        document = Document.of(*writer.document())
        if has_usual_length(document):
            yield document


def generate_pronoun_documents(seed: int, *, distractor: bool) -> Iterator[Document]:
    """Yields documents with an ambiguous "it" in the second sentence, all with a distractor or all without."""
    writer = SentenceWriter(Random(f"{seed} pronoun documents {distractor}"))
    while True:
        document = Document.of(*writer.pronouns.two_sentences())
        example = find_ambiguous_pronoun(document.joined)
        if example is not None and (example.distractor is not None) == distractor and has_usual_length(document):
            yield document


def has_usual_length(document: Document) -> bool:
    """Whether no sentence is longer than those of the corpus of single sentences."""
    sides = (side for sentence in document.sentences for side in (sentence.source, sentence.target))
    return all(len(split_words(side)) <= MAX_WORDS for side in sides)


class GrammarDocuments(GeneratedCorpus):
    """The built-in corpus of documents in one direction.

    No document occurs twice, on either side, in all splits together; a sentence may, such as "It was too wide." The
    documents are the same for both values of `join`.

    Args:
        source: the source language, "en" or "de".
        target: the other language.
        seed: determines the documents.
        join: how many sentences of a document a pair has: 2, the whole document; or 1, so that every sentence is
            translated without the other.
        train_size: number of documents in train.
        val_size: number of documents in val.
        test_size: number of documents in test.
        pronouns_size: number of documents in pronouns. In all of them an ambiguous pronoun (see
            `find_ambiguous_pronoun`) of the second sentence refers to a noun of the first, and every other one has a
            distractor. With `join=1` the split has the second sentences only.

    Raises:
        UserError: there is no such direction; `join` is neither 1 nor 2; or a size is not positive, or larger than the
            grammar can generate.
    """

    def __init__(
        self,
        *,
        source: str,
        target: str,
        seed: int,
        join: int,
        train_size: int,
        val_size: int,
        test_size: int,
        pronouns_size: int,
    ) -> None:
        sizes = {"train": train_size, "val": val_size, "test": test_size, "pronouns": pronouns_size}
        super().__init__(source=source, target=target, seed=seed, sizes=sizes)
        if join not in (1, 2):
            raise UserError(f"data.join={join} must be 1 or 2: a document of the grammar has two sentences")
        if train_size + val_size + test_size > MAX_DOCUMENTS:
            raise UserError(
                f"data.train_size, val_size and test_size are {train_size + val_size + test_size} documents together, "
                f"but the grammar generates at most {MAX_DOCUMENTS} different ones: choose a smaller train_size"
            )
        if pronouns_size > MAX_PRONOUN_DOCUMENTS:
            raise UserError(
                f"data.pronouns_size={pronouns_size} is too large: the grammar generates at most "
                f"{MAX_PRONOUN_DOCUMENTS} different documents with an ambiguous pronoun"
            )
        self.join = join
        self._documents: dict[str, list[Document]] = {}

    def english_pairs(self, name: str) -> list[GrammarPair]:
        documents = self.documents(name)
        if self.join == 2:
            return [document.joined for document in documents]
        if name == "pronouns":
            return [document.sentences[1] for document in documents]
        return [sentence for document in documents for sentence in document.sentences]

    def pronoun_examples(self, name: str) -> list[PronounExample] | None:
        if name != "pronouns":
            return None
        documents = self.documents(name)
        examples = self.find_examples(document.joined for document in documents)
        if self.join == 2:
            return examples
        first_sentences = self.directed_pairs([document.sentences[0] for document in documents])
        return [without_context(example, first) for example, first in zip(examples, first_sentences, strict=True)]

    def documents(self, name: str) -> list[Document]:
        """The documents of an existing split, English to German."""
        if name not in self._documents:
            self._generate(last=name)
        return self._documents[name]

    def _generate(self, *, last: str) -> None:
        """Generates the splits up to `last`; train comes last, so that the others do not depend on its size."""
        used: set[str] = set()
        documents = generate_documents(self.seed)
        with_distractor, without = (generate_pronoun_documents(self.seed, distractor=each) for each in (True, False))
        for name in ("pronouns", "test", "val", "train"):
            streams = (with_distractor, without) if name == "pronouns" else (documents,)
            self._documents[name] = take_unused(streams, self.sizes[name], used)
            if name == last:
                break


def without_context(example: PronounExample, first: GrammarPair) -> PronounExample:
    """The pronoun of a document in its second sentence alone, where neither its noun nor a distractor is."""
    return replace(
        example,
        pronoun=example.pronoun - len(split_words(first.source)),
        target_pronoun=example.target_pronoun - len(split_words(first.target)),
        antecedent=None,
        distractor=None,
    )
