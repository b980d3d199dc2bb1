"""Chooses the fonts of a picture by its characters, from all fonts on the machine.

matplotlib only knows the fonts that were there when it built its cache, and tries them in a fixed order. Here the font
files are listed anew for every picture, and each text gets fonts of its own. A picture in Latin script needs no search.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.report.formatting import is_ignorable

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font, GlyphIndexType

DEFAULT_FAMILY = "DejaVu Sans"
"""The font that comes with matplotlib: Latin, Greek, Cyrillic, Hebrew, Arabic and many symbols."""

REGULAR_STYLES = {"Regular", "Book", "Roman", "Normal", "Medium"}
"""Names of a font's upright style of normal weight."""

LAST_CHOICES = ("Unifont", "Last Resort", "LastResort")
"""Families that have a crude glyph for almost every character."""

MAX_LISTED_CHARACTERS = 5
"""Maximum number of characters that a remark lists."""

CJK_PACKAGE, SYMBOL_PACKAGE, GENERAL_PACKAGE = "fonts-noto-cjk", "fonts-symbola", "fonts-noto-core"
RARE_HAN_PACKAGE, COMPLETE_PACKAGE = "fonts-hanazono", "fonts-unifont"
PACKAGE_FILES = {
    CJK_PACKAGE: "NotoSansCJK",
    SYMBOL_PACKAGE: "Symbola",
    GENERAL_PACKAGE: "NotoSans-Regular",
    RARE_HAN_PACKAGE: "HanaMin",
    COMPLETE_PACKAGE: "unifont",
}
"""Debian's and Ubuntu's font packages, each with the start of the name of a file by which it is recognised."""


@dataclass(frozen=True)
class FontChoice:
    """The fonts for several texts.

    Attributes:
        families: of each text, the names of its font families, the first choice first.
        missing: the characters that no font on this machine can draw, in the order of the texts.
    """

    families: list[list[str]]
    missing: list[str]


@dataclass(frozen=True)
class FontFace:
    """A face of a font file, with those of the wanted characters that it can draw."""

    path: str
    index: int
    family: str
    is_regular: bool
    characters: frozenset[str]


def choose_fonts(texts: Sequence[str]) -> FontChoice:
    """Chooses font families for each text.

    A text that the default font cannot draw gets the font that has most of the characters that the default lacks. This
    font comes first if they are letters, so that a word is not drawn in two fonts, which would also separate joined
    letters. It comes after the default font if they are symbols.
    """
    from matplotlib import font_manager  # only here: it is slow to import

    wanted = dict.fromkeys(character for text in texts for character in text if not is_ignorable(character))
    default_path = font_manager.findfont(DEFAULT_FAMILY)
    default = frozenset[str]().union(*(face.characters for face in _read_font_file(default_path, wanted)))
    lacking = [character for character in wanted if character not in default]
    faces = sorted(_find_faces(lacking), key=lambda face: _rank(face, wanted)) if lacking else []
    available = frozenset[str]().union(*(face.characters for face in faces))

    def choose_families(text: str) -> list[str]:
        rest = {character for character in text if character in available} - default
        has_letters = any(unicodedata.category(character)[0] in "LM" for character in rest)
        chosen = []
        while rest:
            best = max(faces, key=lambda face: len(face.characters & rest))  # the first of several
            chosen.append(_register(best))
            rest -= best.characters
        return [*chosen, DEFAULT_FAMILY] if has_letters else [DEFAULT_FAMILY, *chosen]

    return FontChoice(
        families=[choose_families(text) for text in texts],
        missing=[character for character in lacking if character not in available],
    )


def describe_missing(characters: Sequence[str]) -> str:
    """Says in one line which characters have no font, and which packages of Debian and Ubuntu provide one."""
    listed = ", ".join(f"{character} (U+{ord(character):04X})" for character in characters[:MAX_LISTED_CHARACTERS])
    if len(characters) > MAX_LISTED_CHARACTERS:
        listed += f" and {len(characters) - MAX_LISTED_CHARACTERS} more"
    installed = _installed_packages()
    packages = dict.fromkeys(choose_package(character, installed) for character in characters)
    names = " ".join(package for package in packages if package)
    remedy = f"install fonts with them (Debian, Ubuntu: apt install {names})" if names else "no known font has them"
    return f"no font on this machine can draw {listed}; boxes stand for them: {remedy}"


def choose_package(character: str, installed: Iterable[str]) -> str | None:
    """The package that provides a font with this character and is not installed yet; None if there is none."""
    category = unicodedata.category(character)
    if category in ("Cn", "Co") or ord(character) >= 0x30000:  # unassigned, private, or too new for Debian's fonts
        return None
    if unicodedata.name(character, "").startswith("CJK UNIFIED IDEOGRAPH") and ord(character) > 0xFFFF:
        choices = [CJK_PACKAGE, RARE_HAN_PACKAGE]
    elif category.startswith("S") and 0x1F000 <= ord(character) <= 0x1FAFF:
        choices = [SYMBOL_PACKAGE, GENERAL_PACKAGE]
    elif unicodedata.east_asian_width(character) in "WFH" and not 0xA000 <= ord(character) <= 0xA4CF:  # not Yi
        choices = [CJK_PACKAGE, GENERAL_PACKAGE] if ord(character) <= 0xFFFF else [GENERAL_PACKAGE]
    else:
        choices = [GENERAL_PACKAGE]
    return next((package for package in [*choices, COMPLETE_PACKAGE] if package not in installed), None)


def _installed_packages() -> set[str]:
    from matplotlib import font_manager

    names = [Path(path).name for path in font_manager.findSystemFonts()]
    return {package for package, start in PACKAGE_FILES.items() if any(name.startswith(start) for name in names)}


def _find_faces(wanted: Iterable[str]) -> list[FontFace]:
    """All faces on this machine that can draw at least one of the wanted characters."""
    from matplotlib import font_manager

    return [face for path in font_manager.findSystemFonts() for face in _read_font_file(path, wanted)]


def _read_font_file(path: str, wanted: Iterable[str]) -> list[FontFace]:
    """The faces of a font file that can draw at least one of the wanted characters; none if it is damaged."""
    from matplotlib.ft2font import FT2Font

    faces = []
    try:
        num_faces = FT2Font(path).num_faces
        for index in range(num_faces):
            font = FT2Font(path, face_index=index)
            # Bitmaps, such as those of Noto Color Emoji, cannot be drawn.
            if not font.scalable:
                continue
            glyphs = {character: font.get_char_index(ord(character)) for character in wanted}  # 0 if there is none
            characters = frozenset(c for c, glyph in glyphs.items() if glyph and _has_ink(font, glyph))
            if characters:
                is_regular = font.style_name in REGULAR_STYLES
                faces.append(FontFace(path, index, font.family_name, is_regular, characters))
    except (OSError, RuntimeError, ValueError):  # damaged, or not a font
        return []
    return faces


def _has_ink(font: FT2Font, glyph: GlyphIndexType) -> bool:
    """Tells whether a glyph has an outline; the layers of a colour font are not drawn."""
    from matplotlib.ft2font import FaceFlags, LoadFlags

    if FaceFlags.COLOR not in font.face_flags:
        return True
    outline = font.load_glyph(glyph, LoadFlags.NO_SCALE)
    return outline.width > 0 and outline.height > 0


def _rank(face: FontFace, wanted: Iterable[str]) -> tuple[object, ...]:
    """The sort key of a face: the lowest is the first choice."""
    # Many Han characters look different in Japan, Korea and China; the letters beside them tell which is meant.
    names = {unicodedata.name(character, "").split(" ")[0] for character in wanted}
    region = "JP" if names & {"HIRAGANA", "KATAKANA"} else "KR" if "HANGUL" in names else "SC"
    return (
        face.family.startswith(LAST_CHOICES),
        not face.is_regular,
        "Sans" not in face.family,  # like the default font
        "CJK" in face.family and not face.family.endswith(region),
        face.family,
        face.path,
        face.index,
    )


def _register(face: FontFace) -> str:
    """Makes matplotlib find exactly this face, and returns the family name to use for it."""
    from matplotlib.font_manager import FontEntry, fontManager

    name = f"{face.family} ({face.path}, {face.index})"  # no other entry has this name
    entry = FontEntry(
        fname=face.path,
        index=face.index,
        name=name,
        style="normal",
        variant="normal",
        weight=400,
        stretch="normal",
        size="scalable",
    )
    if entry not in fontManager.ttflist:
        fontManager.ttflist.append(entry)
    return name
