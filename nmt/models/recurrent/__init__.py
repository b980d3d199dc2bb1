"""The recurrent encoder-decoders, which differ only in their attention.

In reading order:

    cells.py           the LSTM and the GRU
    encoder.py         the bidirectional encoder, the same for all
    decoder_cells.py   two ways to run a decoder's cells: in a loop, or fused over all positions
    base.py            what all architectures share
    plain.py           the decoder without attention
    attentional.py     what the decoders with attention share
    bahdanau.py        attention before the recurrence
    luong.py           attention after the recurrence
"""

from nmt.models.recurrent.bahdanau import BahdanauRNN
from nmt.models.recurrent.base import RecurrentDecoder, RecurrentSeq2Seq
from nmt.models.recurrent.cells import Cell, GRUCell, LSTMCell, RecurrentState
from nmt.models.recurrent.decoder_cells import FusedCells, StackedCells
from nmt.models.recurrent.encoder import BidirectionalEncoder
from nmt.models.recurrent.luong import LuongRNN
from nmt.models.recurrent.plain import PlainRNN

__all__ = [
    "BahdanauRNN",
    "BidirectionalEncoder",
    "Cell",
    "FusedCells",
    "GRUCell",
    "LSTMCell",
    "LuongRNN",
    "PlainRNN",
    "RecurrentDecoder",
    "RecurrentSeq2Seq",
    "RecurrentState",
    "StackedCells",
]
