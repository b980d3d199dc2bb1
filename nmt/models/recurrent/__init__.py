"""The recurrent encoder-decoders, which differ only in their attention.

In reading order:

    encoder.py       the bidirectional encoder, the same for all
    cells.py         two ways to run a decoder's LSTM: cells in a loop, or torch's fused LSTM
    base.py          what all architectures share
    plain.py         the decoder without attention
    attentional.py   what the decoders with attention share
    bahdanau.py      attention before the recurrence
    luong.py         attention after the recurrence
"""

from nmt.models.recurrent.bahdanau import BahdanauLSTM
from nmt.models.recurrent.base import RecurrentDecoder, RecurrentSeq2Seq
from nmt.models.recurrent.cells import FusedLSTM, LSTMState, StackedCells
from nmt.models.recurrent.encoder import BidirectionalEncoder
from nmt.models.recurrent.luong import LuongLSTM
from nmt.models.recurrent.plain import LSTM

__all__ = [
    "LSTM",
    "BahdanauLSTM",
    "BidirectionalEncoder",
    "FusedLSTM",
    "LSTMState",
    "LuongLSTM",
    "RecurrentDecoder",
    "RecurrentSeq2Seq",
    "StackedCells",
]
