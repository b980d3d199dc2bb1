"""The built-in corpus: a synchronous grammar that writes English and German together.

inflection → lexicon → phrases → clauses      what the languages are: forms, words, and their order
nominals → writer → sentences, pronouns       what is said: drawn at random, so that it makes sense
corpus                                        the sentences as a corpus with splits
"""

from nmt.data.grammar.corpus import GrammarCorpus, generate_pairs, pharaoh
from nmt.data.grammar.phrases import Antecedent, GrammarPair, words

__all__ = ["Antecedent", "GrammarCorpus", "GrammarPair", "generate_pairs", "pharaoh", "words"]
