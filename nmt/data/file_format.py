"""Recognises files that are not text in UTF-8 by their first bytes: compressed files, documents, UTF-16, bare CR.

Such a file would otherwise be read as a few lines of garbage, or as a single line.
"""

from __future__ import annotations

import codecs
import unicodedata

HEAD_BYTES = 4096
"""Number of bytes at the start of a file that are examined."""

SIGNATURES = (
    (b"\x1f\x8b", "compressed with gzip: decompress it with gunzip"),
    (b"PK\x03\x04", "a zip archive, or a document such as .docx: unpack it, or save it as plain text"),
    (b"PK\x05\x06", "an empty zip archive: name a text file"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: decompress it with unzstd"),
    (b"\xfd7zXZ\x00", "compressed with xz: decompress it with unxz"),
    (b"BZh", "compressed with bzip2: decompress it with bunzip2"),
    (b"\x04\x22\x4d\x18", "compressed with lz4: decompress it with unlz4"),
    (b"\x1f\x9d", "compressed with compress: decompress it with uncompress"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!\x1a\x07", "a rar archive: unpack it"),
    (b"%PDF-", "a PDF document: save it as plain text, for example with pdftotext"),
    (b"{\\rtf", "an RTF document: save it as plain text"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document such as .doc: save it as plain text"),
    (b"PAR1", "a Parquet file: give it a name that ends in .parquet"),
    (b"SQLite format 3\x00", "an SQLite database: export its text"),
    (b"\x89PNG", "a picture: name a text file"),
    (b"\xff\xd8\xff", "a picture: name a text file"),
    (b"\x7fELF", "a program: name a text file"),
)
"""First bytes of a kind of file, and what to do with it."""

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
    (b"+/v8", "UTF-7"),
    (b"+/v9", "UTF-7"),
    (b"\x84\x31\x95\x33", "GB18030"),
)
"""The byte order mark in each encoding except UTF-8, whose mark the readers drop."""

MAX_BARE_PER_LINE_FEED = 4
"""With more carriage returns without a line feed than this per line feed, they are the line ends."""

MIN_NUL_SHARE = 0.25
"""Text in UTF-8 has hardly any NUL bytes; from this share on, a file is binary data."""

MIN_NULS = 2
"""Fewer NUL bytes are not enough to guess an encoding."""

MIN_LOW_SHARE = 0.9
"""In UTF-16, the high byte of a character of most scripts is below 0x20: 0 for Latin, 4 for Cyrillic, 14 for Thai."""


def describe_foreign_format(head: bytes) -> str | None:
    """Says what a file is, and what to do with it, if it is not text in UTF-8 with the line ends LF or CRLF.

    Args:
        head: the first bytes of the file, best HEAD_BYTES of them.

    Returns:
        the end of a sentence, such as "compressed with gzip: decompress it with gunzip"; None for ordinary text, and
        for text with some wrong bytes, which a reader can locate better.
    """
    for signature, description in SIGNATURES:
        if head.startswith(signature) and _is_signature(head, signature):
            return description
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if head.startswith(mark)), None)
    if encoding == "UTF-16" and b"\n" in head and b"\0" not in head:
        encoding = None  # a line end in UTF-16 contains a NUL, so these are some wrong bytes in another encoding
    encoding = encoding or _guess_utf(head)
    if encoding == "binary":
        return "binary data, not text: name a text file"
    if encoding is not None:
        return f"text in {encoding}, not UTF-8: convert it with iconv -f {encoding} -t UTF-8"
    num_bare = head.removesuffix(b"\r").count(b"\r") - head.count(b"\r\n")
    if num_bare > MAX_BARE_PER_LINE_FEED * head.count(b"\n"):
        return "text whose lines end in a bare carriage return: convert it with tr '\\r' '\\n'"
    return None


def _is_signature(head: bytes, signature: bytes) -> bool:
    """A signature of printable characters needs a second look, because a sentence could begin with it."""
    if signature == b"BZh":
        return head[3:4].isdigit() and head[4:10] in (
            b"1AY&SY",
            b"\x17rE8P\x90",
        )  # a block, or the end of an empty file
    if signature == b"PAR1":
        return b"\0" in head or _decode(head, "utf-8") is None
    return True


def _guess_utf(head: bytes) -> str | None:
    """The encoding of text without a byte order mark, which shows by its NUL bytes; "binary" if no encoding fits."""
    if head.count(0) < MIN_NULS:
        return None
    is_utf8 = _decode(head, "utf-8") is not None
    for encoding, high_bytes in (
        ("UTF-32LE", head[2::4]),
        ("UTF-32BE", head[1::4]),
        ("UTF-16LE", head[1::2]),
        ("UTF-16BE", head[::2]),
    ):
        text = _decode(head, encoding)
        # Text in UTF-8 with NUL bytes, too, may be decoded as UTF-16, but not to characters of an alphabet.
        num_low = sum(byte < 0x20 for byte in high_bytes)
        if text and all(map(_is_text, text)) and (not is_utf8 or num_low >= MIN_LOW_SHARE * len(high_bytes)):
            return encoding
    return "binary" if head.count(0) >= MIN_NUL_SHARE * len(head) else None


def _decode(head: bytes, encoding: str) -> str | None:
    """The bytes as text, of which the last character may be cut off; None if they do not have this encoding."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None


def _is_text(character: str) -> bool:
    """Whether a character is assigned, and not a control character except a line end or a tab."""
    return character in "\n\r\t" or unicodedata.category(character) not in ("Cc", "Cn", "Co")
