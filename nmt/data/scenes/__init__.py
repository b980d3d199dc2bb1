"""Pictures with captions: a small world of coloured shapes that is drawn, and described in English and German.

world.py        objects in the cells of a grid; random scenes, and what can be said about them
drawing.py      from a picture as text to its pixels
descriptions.py a scene in words, with the endings that German needs
colors.py       the colours that a sentence names, and masking them
corpus.py       a corpus with splits, with pictures, words or both as its source
"""
