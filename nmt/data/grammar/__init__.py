"""The built-in corpus: a synchronous grammar that generates English sentences with their German translations.

The two languages, without anything random:

inflection.py   verb, noun, adjective and determiner forms
entries.py      the types of dictionary entries
lexicon.py      the dictionary: about two hundred lemmas
phrases.py      phrases in both languages at once, with their word alignment
clauses.py      word order

What the sentences say, chosen at random but semantically plausible:

nominals.py     subjects, objects and places
writer.py       clauses
pronouns.py     sentences with a pronoun and its antecedent
sentences.py    all kinds of sentences
ambiguity.py    pronouns whose form depends on their noun
corpus.py       a corpus with splits
documents.py    a corpus of documents: the pronoun of one sentence refers to a noun of the one before
"""

from nmt.data.grammar.corpus import GrammarCorpus, generate_pairs
from nmt.data.grammar.documents import GrammarDocuments
from nmt.data.grammar.phrases import Antecedent, GrammarPair, split_words

__all__ = ["Antecedent", "GrammarCorpus", "GrammarDocuments", "GrammarPair", "generate_pairs", "split_words"]
