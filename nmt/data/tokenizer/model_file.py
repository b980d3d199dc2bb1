"""Serialized SentencePiece models, which are protocol buffers: what is read from them and changed in them."""

from __future__ import annotations

from collections.abc import Iterator

UNIGRAM, BPE = 1, 2
"""The numbers of the types of models."""

TRAINER_FIELD, TYPE_FIELD = 2, 3
"""The number of the field that says how a model was trained, and in it that of the type."""

NORMALIZER_FIELDS, FILE_NAME, LENGTH_DELIMITED = (3, 5), 6, 2
"""The numbers of the fields that hold the rules and their inverse, the number of the field in them that names a file,
and the kind of a field with a length."""

FIXED_SIZES = {1: 8, 5: 4}
"""The kinds of fields whose content has a fixed size, with this size in bytes."""


def read_model_type(model: bytes) -> int:
    """The type of a serialized model: `UNIGRAM`, `BPE` or another number."""
    trainer_spec = b"".join(content for number, _, content in _split_message(model) if number == TRAINER_FIELD)
    types = [_read_varint(field, 1)[0] for number, field, _ in _split_message(trainer_spec) if number == TYPE_FIELD]
    return types[-1] if types else UNIGRAM


def append_control_piece(model: bytes, name: str) -> bytes:
    """The serialized model with one more piece, which follows all others and occurs in no encoded text."""
    text = name.encode()
    piece = b"\x0a" + _to_varint(len(text)) + text + b"\x15\0\0\0\0" + b"\x18\x03"  # name, score 0.0, type CONTROL
    return model + b"\x0a" + _to_varint(len(piece)) + piece


def remove_file_names(model: bytes) -> bytes:
    """Removes the names of temporary files from a serialized model, so that equal text gives equal bytes."""
    fields = []
    for number, field, content in _split_message(model):
        if number in NORMALIZER_FIELDS:
            content = b"".join(inner for inner_number, inner, _ in _split_message(content) if inner_number != FILE_NAME)
            field = bytes([number << 3 | LENGTH_DELIMITED]) + _to_varint(len(content)) + content
        fields.append(field)
    return b"".join(fields)


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
