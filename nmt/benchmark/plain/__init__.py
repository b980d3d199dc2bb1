"""The models to compare with: each of `nmt.models` by the same name, sizes and arguments, written straightforwardly.

They answer the same contract, so that the same batches train them and the same search decodes with them; nothing in
them is made for speed, as it is in a first implementation from a textbook.
"""

from nmt.benchmark.plain.recurrent import LSTM, AdditiveScore, BahdanauLSTM, DotScore, GeneralScore, LuongLSTM
from nmt.benchmark.plain.transformer import Transformer

__all__ = ["LSTM", "AdditiveScore", "BahdanauLSTM", "DotScore", "GeneralScore", "LuongLSTM", "Transformer"]
