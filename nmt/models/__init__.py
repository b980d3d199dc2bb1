"""The architectures, all behind one contract (see `seq2seq`)."""

from nmt.models.attention import AdditiveScore, DotScore, GeneralScore
from nmt.models.lstm import LSTM, BahdanauLSTM, LuongLSTM
from nmt.models.seq2seq import Seq2Seq
from nmt.models.transformer import Transformer

__all__ = ["LSTM", "AdditiveScore", "BahdanauLSTM", "DotScore", "GeneralScore", "LuongLSTM", "Seq2Seq", "Transformer"]
