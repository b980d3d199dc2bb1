"""Files that are not UTF-8 text: what their first bytes say."""

import bz2
import gzip
import io
import lzma
import random
import zipfile

import pytest

from nmt.data.file_format import HEAD_BYTES, describe_foreign_format

TEXTS = {
    "English": "A dog runs.\nTwo cats sleep.\n",
    "Russian": "Собака бежит.\nДве кошки спят.\n",
    "Greek": "Ένας σκύλος τρέχει.\n",
    "Chinese": "一只狗在跑。\n两只猫在睡觉。\n",
    "Japanese": "犬が走る。\n猫が二匹寝ている。\n",
    "Korean": "개가 달린다.\n고양이 두 마리가 잔다.\n",
    "Hindi": "कुत्ता दौड़ता है।\nबिल्ली\n",
    "Malayalam": "നായ ഓടുന്നു.\nരണ്ട്\n",
    "Gujarati": "કૂતરો દોડે છે.\nબે\n",
    "Thai": "สุนัขวิ่ง\nแมวนอน\n",
    "Arabic": "كلب يركض.\n",
    "emoji": "😀\n😀\n",
    "one word": "Hi\n",
}
ENCODINGS = {
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16LE",
    "utf-16-be": "UTF-16BE",
    "utf-32": "UTF-32",
    "utf-32-le": "UTF-32LE",
    "utf-32-be": "UTF-32BE",
}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_utf16_and_utf32_are_recognised_with_and_without_a_mark(language: str, encoding: str, line_end: str) -> None:
    content = TEXTS[language].replace("\n", line_end).encode(encoding)
    name = ENCODINGS[encoding]
    assert describe_foreign_format(content) == f"text in {name}, not UTF-8: convert it with iconv -f {name} -t UTF-8"
    long = (TEXTS[language] * 200).encode(encoding)[:HEAD_BYTES]
    assert str(describe_foreign_format(long)).startswith(f"text in {name}, ")


@pytest.mark.parametrize("language", TEXTS)
def test_utf8_is_text(language: str) -> None:
    for encoding in ("utf-8", "utf-8-sig"):
        assert describe_foreign_format(TEXTS[language].encode(encoding)) is None
        content = (TEXTS[language].replace("\n", "\r\n") * 200).encode(encoding)
        assert all(describe_foreign_format(content[:end]) is None for end in range(HEAD_BYTES - 4, HEAD_BYTES + 1))


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as content:
        content.writestr("word/document.xml", "<w:document/>")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "start"),
    [
        (gzip.compress(b"text", mtime=0), "compressed with gzip: decompress it with gunzip"),
        (bz2.compress(b"text"), "compressed with bzip2"),
        (bz2.compress(b""), "compressed with bzip2"),
        (lzma.compress(b"text"), "compressed with xz"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "compressed with zstd"),
        (archive(), "a zip archive, or a document such as .docx"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
        (b"{\\rtf1\\ansi}", "an RTF document"),
        (b"PAR1\x15\x04\x15\x00", "a Parquet file"),
        (bytes(100), "binary data"),
        (b"a\rb\rc\r", "text whose lines end in a bare carriage return: convert it with tr '\\r' '\\n'"),
        (b"a\rb", "text whose lines end in a bare carriage return"),
        (b"a\rb\rc\rd\re\rf\n", "text whose lines end in a bare carriage return"),
    ],
)
def test_other_formats_are_recognised(content: bytes, start: str) -> None:
    assert str(describe_foreign_format(content)).startswith(start)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a",
        b"a\r",
        b"a\r\n",
        b"one\rtwo\n\rthree\n",
        b"a\0b\n",
        b"BZh1 is a word\n",
        b"PAR1 is a word\n",
        b"PK is a word\n",
        "é\nü\n".encode("latin-1"),  # the reader names the line
        b"\xff\xfe some wrong bytes\n",
        b"\t\t\t\n\t\t\n",
        random.Random(1).randbytes(HEAD_BYTES),
    ],
)
def test_what_a_reader_can_explain_better_is_left_to_it(content: bytes) -> None:
    assert describe_foreign_format(content) is None
