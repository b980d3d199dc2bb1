"""Looks into trained systems: attention, the probability of each word, the beam as a tree.

    systems.py     the systems that are explored, with any of their heads switched off
    examples.py    sentences to begin with
    gold.py        the word links that are known to be right
    analysis.py    everything about one translation: pieces, words, log-probabilities, attention
    beam_tree.py   what a beam search kept and what it pruned
    pictures.py    the picture in a source line, as an image
    app.py         the web application: the page, its API (api.py), LibreTranslate's calls (libretranslate.py)
                   around both: calls.py, batching.py (a queue), guard.py (who may call), problems.py (errors)
    server.py      runs it
    page.py        the page in page/, and the same as one file without a server

The results are plain dataclasses, so that a server answers with them, and a file can hold them as JSON.
"""
