"""A pronoun whose translation depends on the noun to which it refers, as a corpus describes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PronounExample:
    """The pronoun of a pair, the noun to which it refers, and the forms that its translation can have.

    Indices count words and punctuation marks from 0, like the corpus's alignment.
    """

    pronoun: int  # index of the pronoun in the source
    antecedent: int | None  # index of the noun to which it refers, in the source; None if it is in an earlier line
    distractor: int | None  # index of another noun that stands between the two and takes another pronoun
    distance: int  # from the antecedent to the pronoun, in words, also if another line has the antecedent
    target_pronoun: int  # index of the pronoun in the reference
    gender: str  # of the German noun: m, f or n
    case: str  # of the German pronoun: nominative, accusative or dative
    correct: str  # the pronoun's form in the reference, in lower case
    wrong: list[str]  # the other forms of personal pronouns of the third person
