"""What the figures of a report mean, for a student."""

from __future__ import annotations

GLOSSARY = [
    (
        "BLEU",
        "how many of the translation's words, and sequences of two, three and four words, also occur in the reference; "
        "0 to 100. Translations that are too short lose points. In languages that are written without spaces, the "
        "tokenizer of the signature (`tok`) decides what counts as a word; with `char` it is a character. Compare it "
        "only on the same test set and with the same signature.",
    ),
    (
        "chrF",
        "the same idea with characters instead of words, so that a word with a wrong ending still counts in part; "
        "0 to 100.",
    ),
    (
        "TER",
        "how many words would have to be changed, inserted, deleted or moved to turn the translation into the "
        "reference, per 100 words of the reference; lower is better, and it can exceed 100. A Chinese character counts "
        "as a word; where neither spaces nor such characters separate words, as in Thai, it says little.",
    ),
    (
        "BLEU lc",
        "lower-cased, tokenised BLEU: the figure in older papers on Multi30k, which ignores capital letters. Compare "
        "it only with figures of this kind; it is close to the output of multi-bleu.perl for text tokenised with Moses "
        "but not equal to it.",
    ),
    (
        "BLEU lc Moses",
        "the same figure with the tokens of Moses itself, which splits words at apostrophes (l' arbre). French, Italian"
        " and English have it: compare it with the figures of older papers.",
    ),
    (
        "COMET",
        "the quality of a translation as a neural network estimates it from source, translation and reference, times "
        "100; the network was trained on human judgements. Compare it only for the same model (see the signature), "
        "language pair and text.",
    ),
    (
        "AER, precision, recall",
        "alignment error rate (Och and Ney, 2003), in percent: how far the links between source and target words that "
        "are read from the attention are from the gold links; 0 is perfect. A link is precise if it is at least a "
        "possible gold link; recall counts the sure ones. The references are forced, so that every system aligns the "
        "same text. Layer, head and rule were chosen on validation data.",
    ),
    (
        "read from",
        "the layer and the head whose attention shows the links, unless the decoder has only one, as a recurrent one; "
        "which rows stand for a target word (all: those that predict its pieces; first: only the first of them; "
        "shifted: each one row later); and the method that turns weights into links. With argmax a target word is "
        "linked to the source word that it attends to most, with threshold to all words above a weight; the other "
        "methods combine this with the links from each source word to its best target word.",
    ),
    (
        "entropy",
        "how widely a target word spreads its attention, in nats, the mean over words: 0 is a single source word, 1.1 "
        "are three words that get a third each. A low entropy is no merit by itself.",
    ),
    (
        "coverage, monotonicity, end of sentence",
        "how much attention a source word gets from all target words, counted up to 100 %; how often the most attended "
        "source word does not move back from one target word to the next; and how much attention goes to the "
        "end-of-sentence position, where some systems put what they do not need. In percent.",
    ),
    (
        "pronouns",
        "how many pronouns have the gender and the number of the noun that they refer to, in percent, on pairs in "
        "which several forms are possible (the split `pronouns` of the built-in corpus). A distractor is another noun "
        "of another form that stands nearer to the pronoun.",
    ),
    (
        "95 % interval",
        "if a thousand new test sets are drawn from the sentences of this one, the BLEU of 95 % of them lies in this "
        "interval. It is written as their mean ± half its width. A smaller test set makes it wider.",
    ),
    (
        "p",
        "how often chance alone would make a difference at least this large between two equally good systems; below "
        "0.05 the difference is called significant. It does not say how much the difference matters, and it does not "
        "cover the luck of the seed that a system was trained with.",
    ),
    (
        "± over seeds",
        "the sample standard deviation of a score among runs that differ in nothing but the seed: how much the luck of "
        "training moves it. A difference between two systems of about this size may be luck. It is no confidence "
        "interval, and two or three seeds only give a rough idea of it.",
    ),
    (
        "sentence chrF",
        "chrF of a single sentence. It is a rough guide to the sentences that are worth reading, not a verdict: a good "
        "translation in other words than the reference has a low one.",
    ),
    (
        "BLEU by source length",
        "a system without attention must compress the whole sentence into one vector, which hurts longer sentences; "
        "with attention BLEU should fall less. The figure behind ± is half the width of the 95 % interval.",
    ),
    (
        "parameters",
        "how many numbers training had to find; a model with more of them can represent more, and needs more time and "
        "data.",
    ),
    (
        "training tokens/s",
        "target tokens per second of training, the median; depends on the machine and the batches.",
    ),
    (
        "validation BLEU",
        "the BLEU, on sentences that are used neither for training nor for testing, of the weights that are tested. "
        "They were selected as the best of the training by their BLEU, chrF or loss on these sentences.",
    ),
    (
        "decoded sentences/s",
        "how fast the split was translated; depends on the machine, the batches and the beam.",
    ),
]
"""The name of each figure, with its explanation."""
