"""Serialized SentencePiece models, which are protocol buffers: what is read from them and changed in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

UNIGRAM, BPE = 1, 2
"""The numbers of the types of models."""

TRAINER_FIELD, TYPE_FIELD = 2, 3
"""The number of the field that says how a model was trained, and in it that of the type."""

PIECE_FIELD, PIECE_TYPE_FIELD = 1, 3
"""The number of the fields that hold the pieces, by id, and in them that of a piece's type."""

NORMAL, USER_DEFINED = 1, 4
"""The numbers of two types of pieces: the default, and a string that is a piece of its own wherever text has it."""

NAME_FIELDS = {48: b"<pad>", 46: b"<s>", 47: b"</s>", 45: b"<unk>"}
"""The numbers of the fields that name pad, bos, eos and unk, in how a model was trained, and their default names."""

NORMALIZER_FIELDS, FILE_NAME, LENGTH_DELIMITED = (3, 5), 6, 2
"""The numbers of the fields that hold the rules and their inverse, the number of the field in them that names a file,
and the kind of a field with a length."""

FIXED_SIZES = {1: 8, 5: 4}
"""The kinds of fields whose content has a fixed size, with this size in bytes."""


def read_model_type(model: bytes) -> int:
    """The type of a serialized model: `UNIGRAM`, `BPE` or another number."""
    return _read_type(_read_trainer(model), TYPE_FIELD, default=UNIGRAM)


def read_special_names(model: bytes) -> list[bytes]:
    """The names of pad, bos, eos and unk in a serialized model, whether or not it has these pieces."""
    trainer_spec = {number: content for number, _, content in _split_message(_read_trainer(model))}
    return [trainer_spec.get(number, name) for number, name in NAME_FIELDS.items()]


def find_user_defined_pieces(model: bytes) -> set[int]:
    """The ids of the user-defined pieces of a serialized model."""
    pieces = (content for number, _, content in _split_message(model) if number == PIECE_FIELD)
    return {
        id for id, piece in enumerate(pieces) if _read_type(piece, PIECE_TYPE_FIELD, default=NORMAL) == USER_DEFINED
    }


def insert_control_pieces(model: bytes, names: Sequence[bytes], *, index: int) -> bytes:
    """The serialized model with more pieces, the first of which gets the id `index`; they occur in no encoded text."""
    fields = list(_split_message(model))
    pieces = [field for number, field, _ in fields if number == PIECE_FIELD]
    others = [field for number, field, _ in fields if number != PIECE_FIELD]
    return b"".join([*pieces[:index], *map(_control_piece, names), *pieces[index:], *others])


def _control_piece(name: bytes) -> bytes:
    """The field of a piece of the type CONTROL."""
    piece = b"\x0a" + _to_varint(len(name)) + name + b"\x15\0\0\0\0" + b"\x18\x03"  # name, score 0.0, type
    return b"\x0a" + _to_varint(len(piece)) + piece


def remove_file_names(model: bytes) -> bytes:
    """Removes the names of temporary files from a serialized model, so that equal text gives equal bytes."""
    fields = []
    for number, field, content in _split_message(model):
        if number in NORMALIZER_FIELDS:
            content = b"".join(inner for inner_number, inner, _ in _split_message(content) if inner_number != FILE_NAME)
            field = bytes([number << 3 | LENGTH_DELIMITED]) + _to_varint(len(content)) + content
        fields.append(field)
    return b"".join(fields)


def _read_trainer(model: bytes) -> bytes:
    """How a serialized model was trained, as a serialized protocol buffer."""
    return b"".join(content for number, _, content in _split_message(model) if number == TRAINER_FIELD)


def _read_type(message: bytes, type_field: int, *, default: int) -> int:
    """The number in a field of a serialized protocol buffer, or the default if it has no such field."""
    types = [_read_varint(field, 1)[0] for number, field, _ in _split_message(message) if number == type_field]
    return types[-1] if types else default


def _split_message(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yields the fields of a serialized protocol buffer: each one's number, its bytes, and its content.

    A field is a key, number << 3 | kind, then a number, which is the field's value or the length of its content, or
    a content of fixed size (https://protobuf.dev/programming-guides/encoding/).
    """
    start = 0
    while start < len(message):
        key, content_start = _read_varint(message, start)
        if (size := FIXED_SIZES.get(key & 7)) is not None:
            end = content_start + size
        else:
            value, content_start = _read_varint(message, content_start)
            end = content_start + (value if key & 7 == LENGTH_DELIMITED else 0)
        yield key >> 3, message[start:end], message[content_start:end]
        start = end


def _read_varint(message: bytes, start: int) -> tuple[int, int]:
    """Reads a number of 7 bits per byte, the lowest ones first, and returns it and its end."""
    value, end = 0, start
    while True:
        value |= (message[end] & 127) << 7 * (end - start)
        end += 1
        if message[end - 1] < 128:
            return value, end


def _to_varint(value: int) -> bytes:
    """The inverse of `_read_varint`."""
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])
