"""The fonts of a picture: found by the characters, also after matplotlib built its cache."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from nmt.report.alignment_plot import write_figure
from nmt.report.figure import Figure, Panel
from nmt.report.fonts import choose_fonts, choose_package, describe_missing

WriteFont = Callable[..., Path]


@pytest.fixture
def write_font(tmp_path: Path) -> WriteFont:
    """Writes a font with a square for each of some characters; without ink, the squares are empty."""

    def write(name: str, characters: str, *, style: str = "Regular", with_ink: bool = True) -> Path:
        pen = TTGlyphPen(None)
        if with_ink:
            for command, point in (("moveTo", (0, 0)), ("lineTo", (0, 700)), ("lineTo", (700, 700))):
                getattr(pen, command)(point)
            pen.closePath()
        square = pen.glyph()
        names = [f"g{ord(character):04X}" for character in characters]
        builder = FontBuilder(1000, isTTF=True)
        builder.setupGlyphOrder([".notdef", *names])
        builder.setupCharacterMap({ord(c): n for c, n in zip(characters, names, strict=True)})
        builder.setupGlyf({".notdef": square, **dict.fromkeys(names, square)})
        builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names], (800, 0)))
        builder.setupHorizontalHeader(ascent=800, descent=-200)
        builder.setupNameTable({"familyName": name, "styleName": style})
        builder.setupOS2()
        builder.setupPost()
        if not with_ink:
            builder.setupCOLR({n: [(n, 0)] for n in names})
            builder.setupCPAL([[(0, 0, 0, 1)]])
        path = tmp_path / f"{name}-{style}.ttf"
        builder.save(path)
        return path

    return write


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes these font files, besides matplotlib's own, the fonts of the machine."""

    def install(*paths: Path) -> None:
        monkeypatch.setattr(font_manager, "findSystemFonts", lambda: list(map(str, paths)))

    return install


def draw(out: Path, *pieces: str) -> list[str]:
    """Draws a matrix with these pieces on both sides; returns the remarks."""
    remarks: list[str] = []
    weights = [[1 / len(pieces)] * len(pieces)] * len(pieces)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_figure(out, Figure("", [[Panel("", pieces, pieces, weights)]]), warn=remarks.append)
    return remarks


def test_a_new_font_is_found_by_its_characters(
    tmp_path: Path, write_font: WriteFont, install: Callable[..., None]
) -> None:
    install()
    assert choose_fonts(["dog", "क"]).missing == ["क"]
    assert len(remarks := draw(tmp_path / "before.png", "▁dog", "क")) == 1
    assert "क (U+0915)" in remarks[0]
    path = write_font("New", "क")  # matplotlib's cache does not know it
    install(path)
    choice = choose_fonts(["dog", "क"])
    assert choice.missing == []
    assert choice.families[0] == ["DejaVu Sans"]
    assert font_manager.findfont(font_manager.FontProperties(family=choice.families[1])).path == str(path)
    assert draw(tmp_path / "after.png", "▁dog", "क") == []
    assert (tmp_path / "before.png").read_bytes() != (tmp_path / "after.png").read_bytes()


def test_a_word_is_drawn_in_one_font_and_a_symbol_stands_between_letters_of_the_default_font(
    write_font: WriteFont, install: Callable[..., None]
) -> None:
    install(write_font("Letters", "abकि"), write_font("Symbols", "ab🚀"))
    word, symbol = choose_fonts(["aकि", "a🚀"]).families
    assert [family.split(" (")[0] for family in word] == ["Letters", "DejaVu Sans"]
    assert [family.split(" (")[0] for family in symbol] == ["DejaVu Sans", "Symbols"]


def test_regular_fonts_come_before_bold_ones_and_before_crude_ones(
    write_font: WriteFont, install: Callable[..., None]
) -> None:
    fonts = [write_font("Unifont", "क"), write_font("A Sans", "क", style="Bold"), write_font("Z Serif", "क")]
    install(*fonts, write_font("B Sans", "क"))
    assert choose_fonts(["क"]).families[0][0].startswith("B Sans")
    install(*fonts)
    assert choose_fonts(["क"]).families[0][0].startswith("Z Serif")
    install(*fonts[:2])
    assert choose_fonts(["क"]).families[0][0].startswith("A Sans")


def test_damaged_fonts_and_colour_fonts_are_passed_over(
    tmp_path: Path, write_font: WriteFont, install: Callable[..., None]
) -> None:
    damaged, empty = tmp_path / "damaged.ttf", tmp_path / "empty.ttf"
    damaged.write_bytes(write_font("Whole", "🚀").read_bytes()[:300])
    empty.touch()
    install(damaged, empty, tmp_path / "absent.ttf", write_font("Colours", "🚀", with_ink=False))
    assert choose_fonts(["🚀"]).missing == ["🚀"]
    assert len(draw(tmp_path / "a.pdf", "▁", "🚀")) == 1


def test_a_picture_in_latin_script_searches_no_fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[str]:
        raise AssertionError("fonts were searched")

    monkeypatch.setattr(font_manager, "findSystemFonts", fail)
    # Neither do Greek, Russian, Hebrew and Arabic, nor characters without ink.
    pieces = ("▁dog", "Ω", "ж", "א", "ب", "\u200c", "\ufe0f", "\u00a0", "\u3164", "\U000e0067", "$x_1^2$", "\\frac")
    assert draw(tmp_path / "a.png", *pieces) == []


def test_arabic_letters_are_joined() -> None:
    """In the middle of a word, the letter ha has another shape than alone."""
    from matplotlib.ft2font import FT2Font, LoadFlags

    font = FT2Font(font_manager.findfont("DejaVu Sans"))

    def glyphs(text: str) -> list[int]:
        return [item.glyph_index for item in font._layout(text, LoadFlags.NO_HINTING)]

    assert len(set(glyphs("ههه"))) == 3  # final, medial and initial
    assert glyphs("ه")[0] not in glyphs("ههه")


@pytest.mark.parametrize(
    ("characters", "package"),
    [
        ("狗犬ゃコ개ㄅ。，Ａ", "fonts-noto-cjk"),
        ("🐕🚀😀🇩🏽", "fonts-symbola"),
        ("कกขកမအꀀ𒀀𓀀", "fonts-noto-core"),
        ("\ue000\u0378\U00030000", None),  # private, unassigned, and in no font of Debian
        ("𠮷", "fonts-noto-cjk"),
    ],
)
def test_the_package_of_a_character(characters: str, package: str | None) -> None:
    assert {choose_package(character, installed=()) for character in characters} == {package}


def test_a_package_that_is_installed_is_not_recommended(
    tmp_path: Path, write_font: WriteFont, install: Callable[..., None]
) -> None:
    install()
    assert describe_missing(["क", "狗", "🐕"]) == (
        "no font on this machine can draw क (U+0915), 狗 (U+72D7), 🐕 (U+1F415); boxes stand for them: install fonts "
        "with them (Debian, Ubuntu: apt install fonts-noto-core fonts-noto-cjk fonts-symbola)"
    )
    install(write_font("NotoSans", "a"))
    assert "apt install fonts-unifont" in describe_missing(["क"])
    assert "ङ (U+0919) and 1 more; " in describe_missing(list("कखगघङच"))
    assert "no known font has them" in describe_missing(["\ue000"])
