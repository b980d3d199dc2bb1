"""Identifies the model of a run, so that results that were computed with another one are recognised."""

from __future__ import annotations

import hashlib

from nmt.files import reading
from nmt.run.folder import TOKENIZER_FILES, RunFolder


def hash_model(run: RunFolder) -> str:
    """SHA-256 of the files that determine a translation: weights, model and tokenizer."""
    digest = hashlib.sha256()
    for member in run.members:
        for path in (member.best, *(member.path / name for name in ("model.json", *TOKENIZER_FILES))):
            with reading(path):
                if path.is_file():
                    with path.open("rb") as file:
                        digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
