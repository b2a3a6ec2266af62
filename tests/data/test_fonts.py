"""The digits of fonts: distinct, measured, and refused where a font has none."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest

from minidann.data import make_synth_digits
from minidann.data.fonts import FONTS, Face, find_faces, flaw, load_glyphs
from minidann.runtime.errors import InputError

SHIPPED = Path(matplotlib.get_data_path(), "fonts", "ttf")


def named(face):
    return f"{Path(face.path).name} {ord(face.zero):x}"


@pytest.mark.parametrize("face", find_faces(), ids=named)
def test_digits_of_a_font_are_distinct(face):
    glyphs = load_glyphs((face,))
    assert not flaw(face)
    assert (
        glyphs.fields.shape == (11, 64, 64)
        and (glyphs.fields[:10].max((1, 2)) > 0).all()
        and (glyphs.fields[10] < 0).all()
    )
    ink = (glyphs.fields[:10] > 0).reshape(10, -1)
    differ = (ink[:, None] != ink).sum(2) / ink.sum(1)
    assert differ[~np.eye(10, dtype=bool)].min() > 0.1


def test_distance_field_measures_distance():
    """Left of a zero the outline comes nearer by 1/40 of its height with every sample."""
    left = load_glyphs((Face(str(SHIPPED / "DejaVuSans.ttf")),)).fields[0][32, :8]
    np.testing.assert_allclose(np.diff(left), 1 / 40, atol=1e-3)


def test_mathematical_digits_are_another_font_of_the_file():
    """STIX's sans-serif 1 has no foot: it is narrower at the bottom than STIX's own."""
    own, sans = (
        load_glyphs((Face(str(SHIPPED / "STIXGeneral.ttf"), zero),)).fields[1] > 0
        for zero in ("0", "\U0001d7e2")
    )
    foot, stem = (ink[45:].any(0).sum() for ink in (own, sans))
    assert foot > 2 * stem > 0


def test_shares_add_up():
    shares = load_glyphs(find_faces()).shares
    np.testing.assert_allclose(np.diff(shares, prepend=0), [face.share for face in FONTS])
    assert shares[-1] == 1


@pytest.mark.parametrize(
    "name", ["cmsy10.ttf", "cmex10.ttf", "cmmi10.ttf", "STIXNonUni.ttf", "STIXSizOneSymReg.ttf"]
)
def test_symbol_fonts_are_refused(name):
    with pytest.raises(InputError, match=name):
        make_synth_digits(1, fonts=[SHIPPED / name])


def test_given_fonts_are_used():
    images, labels = make_synth_digits(100, fonts=[SHIPPED / "DejaVuSans-Bold.ttf"])
    usual_images, usual_labels = make_synth_digits(100)
    np.testing.assert_array_equal(labels, usual_labels)
    assert (images != usual_images).any((1, 2, 3)).mean() > 0.8


def test_unreadable_fonts_are_refused(tmp_path):
    (tmp_path / "no.ttf").write_bytes(b"no font")
    for path in (tmp_path / "no.ttf", tmp_path / "absent.ttf"):
        with pytest.raises(InputError, match=path.name):
            make_synth_digits(1, fonts=[path])


@pytest.mark.parametrize("fonts", [[], "windows"])
def test_no_fonts_are_refused(fonts):
    with pytest.raises(InputError, match="font"):
        make_synth_digits(1, fonts=fonts)


def test_system_fonts_come_after_matplotlib_s(tmp_path, monkeypatch):
    mine, symbols = tmp_path / "mine.ttf", tmp_path / "symbols.ttf"
    mine.write_bytes((SHIPPED / "cmr10.ttf").read_bytes())
    symbols.write_bytes((SHIPPED / "cmsy10.ttf").read_bytes())
    monkeypatch.setattr(
        "matplotlib.font_manager.findSystemFonts",
        lambda: [str(symbols), str(mine), str(SHIPPED / "cmr10.ttf")],
    )
    assert find_faces("system") == (*find_faces(), Face(str(mine)))
    assert make_synth_digits(5, fonts="system")[0].shape == (5, 32, 32, 3)
