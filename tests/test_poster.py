"""The poster: each equation has its line of code, each line is in its source.

The sheet is well set and is that of the present code.
"""

import re
from pathlib import Path

import matplotlib
import pytest
from doc_scripts import load_script
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

ROOT = Path(__file__).parents[1]

poster = load_script("poster")
PAIRS = poster.all_pairs()


def name(pair):
    return pair.formula.replace("\\", "").replace("$", "")[:40]


@pytest.mark.parametrize("pair", PAIRS, ids=name)
def test_each_equation_has_its_lines_and_they_stand_in_the_file_that_is_named(pair):
    assert pair.formula and pair.lines
    for line in pair.lines:
        assert line.start and poster.source_file(line).startswith("minidann/")
        whole = [
            text.strip()
            for text in (ROOT / poster.source_file(line)).read_text(encoding="utf-8").splitlines()
        ]
        assert poster.read(line) in whole


@pytest.mark.parametrize("pair", PAIRS, ids=name)
def test_what_is_drawn_are_those_lines_without_their_comments_if_there_is_no_room(pair):
    rows = poster.code_rows(pair)
    assert all(len(row) <= poster.COLUMNS for row in rows)
    drawn = " ".join(" ".join(rows).split())
    for line in pair.lines:
        assert poster.read(line).split("  # ")[0] in drawn


def test_no_equation_and_no_line_stands_twice_by_mistake():
    formulas = [pair.formula for pair in PAIRS]
    assert len(set(formulas)) == len(formulas) > 30
    assert not [pair for pair in PAIRS if len(set(pair.lines)) != len(pair.lines)]


def test_a_line_that_was_renamed_or_is_ambiguous_is_an_error():
    dense = poster.Dense.parameter_gradients
    assert poster.read(poster.Line(dense, 'self.grads["W"]')).endswith("# (D, N) @ (N, M)")
    with pytest.raises(ValueError, match=r"0 lines of Dense\.parameter_gradients"):
        poster.read(poster.Line(dense, 'self.grads["V"]'))
    with pytest.raises(ValueError, match="2 lines"):
        poster.read(poster.Line(dense, "self.grads"))


@pytest.fixture(scope="module")
def sheet():
    """The sheet after a few steps of training, with its texts and their boxes in inches."""
    with matplotlib.rc_context(poster.FONTS):
        figure = poster.poster(steps=20)
        figure.set_dpi(144)
        FigureCanvasAgg(figure).draw()
        texts = [text for axis in figure.axes for text in axis.texts if text.get_text().strip()]
        boxes = [
            (text, text.get_window_extent().transformed(figure.dpi_scale_trans.inverted()))
            for text in texts
        ]
    return figure, boxes


def test_all_text_is_on_the_page_and_none_is_smaller_than_8_points(sheet):
    figure, boxes = sheet
    assert figure.get_size_inches() == pytest.approx((297 / 25.4, 420 / 25.4))
    for text, box in boxes:
        assert text.get_fontsize() >= 8, text.get_text()
        assert box.x0 > 0.3 and box.x1 < poster.WIDTH - 0.3, text.get_text()
        assert box.y0 > 0.15 and box.y1 < poster.HEIGHT - 0.3, text.get_text()


def test_no_two_texts_of_one_line_overlap(sheet):
    _, boxes = sheet
    for i, (first, a) in enumerate(boxes):
        for second, b in boxes[:i]:
            to_device_of = min(a.x1, b.x1) - max(a.x0, b.x0)
            above = min(a.y1, b.y1) - max(a.y0, b.y0)
            comment = (
                "  # " in first.get_text() or "  # " in second.get_text()
            )  # drawn over its own line, behind spaces
            assert comment or to_device_of <= 0 or above <= 0.09, (
                f"{first.get_text()!r} overlaps {second.get_text()!r}"
            )


def test_equations_end_before_the_code_begins(sheet):
    _, boxes = sheet
    formulas = {pair.formula for pair in PAIRS}
    ends = {text.get_text(): box.x1 for text, box in boxes if text.get_text() in formulas}
    assert set(ends) == formulas and max(ends.values()) < poster.CODE - 0.1


def test_the_accuracies_on_the_sheet_are_the_means_of_the_records(sheet):
    digits, points = poster.records()
    shown = {text.get_text() for text, _ in sheet[1]}
    for _, _, values in digits:
        assert f"{sum(values) / len(values):.3f}"[1:] in shown
    for regime, values in points.items():
        assert f"{regime}:  {sum(values) / len(values):.3f}".replace("0.", ".") in shown


def test_the_committed_files_are_those_of_this_code_and_these_records():
    pdf, png = (
        (ROOT / "docs/img/poster").with_suffix(".pdf"),
        (ROOT / "docs/img/poster").with_suffix(".png"),
    )
    assert pdf.stat().st_size <= 300_000 and png.stat().st_size <= 1_000_000
    assert (
        re.search(rb"/Keywords \((\w+)\)", pdf.read_bytes()).group(1).decode() == poster.digest()
    ), "run python docs/poster.py"
    with Image.open(png) as image:
        assert image.info["Keywords"] == poster.digest(), "run python docs/poster.py"
        assert image.width == 1600
