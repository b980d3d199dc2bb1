"""Text in, translations out.

from nmt import Translator

translator = Translator.load("runs/x", device="cpu")
translator.translate("A dog runs.").text
translator.translate(["A dog runs.", "It barks."], n_best=3, beam_size=5)
"""

from nmt.translator.arguments import LineWarning, check_kinds, sanitize
from nmt.translator.attention import Attention
from nmt.translator.translation import Translation
from nmt.translator.translator import Translator

__all__ = ["Attention", "LineWarning", "Translation", "Translator", "check_kinds", "sanitize"]
