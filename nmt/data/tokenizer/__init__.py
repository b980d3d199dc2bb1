"""Text to subword ids and back."""

from nmt.data.tokenizer.tokenizer import Tokenizer

__all__ = ["Tokenizer"]
