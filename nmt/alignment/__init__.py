"""From attention weights to word links: extraction, symmetrisation, and the quality of an alignment."""

from nmt.alignment.aligner import Aligner, WordAlignment

__all__ = ["Aligner", "WordAlignment"]
