"""From attention weights to word links: extraction, symmetrisation, and the quality of an alignment.

from nmt.alignment.aligner import Aligner

aligner = Aligner.load("runs/x")
aligner.align([("A dog runs .", "Ein Hund rennt .")])[0].pharaoh      # "0-0 1-1 2-2 3-3"
"""
