"""From attention weights to word links: extraction, symmetrisation, and the quality of an alignment."""
