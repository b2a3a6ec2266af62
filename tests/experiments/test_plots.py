"""The figures show what they are given, in colours and markers that differ."""

import numpy as np
import pytest

from minidann.callbacks import History
from minidann.data import Digits, make_blobs_pair
from minidann.experiments import plots


@pytest.fixture
def history():
    keys = (
        "lam",
        "learning_rate",
        "label_loss",
        "domain_loss",
        "source_class",
        "target_class",
        "source_domain",
        "target_domain",
    )
    rows = [
        {"method": m, "seed": s, "step": t} | dict.fromkeys(keys, 0.1 * t)
        for m in ("source", "dann")
        for s in (0, 1)
        for t in (1, 2)
    ]
    return History(rows)


def lines(axis):
    return {line.get_label() for line in axis.lines if not line.get_label().startswith("_")}


def test_curves_show_the_domain_only_where_it_is_trained(history):
    source, dann = plots.curves(history).axes[0:2]
    assert lines(source) == {"label loss L_y"}
    assert lines(dann) == {"label loss L_y", "domain loss L_d"}
    assert len(dann.lines) == 4  # two seeds of two losses


def test_a_variant_has_curves_of_its_own(history):
    variants = [row | {"variant": "other"} for row in history if row["method"] == "dann"]
    axes = plots.curves(History([*history, *variants])).axes
    assert [axis.get_title() for axis in axes[:3]] == ["source only", "DANN", "other"]
    assert lines(axes[2]) == lines(axes[1]) and len(axes[1].lines) == len(axes[2].lines) == 4


def test_the_grid_shows_the_first_sixteen_images_with_their_labels():
    x, y = np.arange(20 * 12, dtype=np.uint8).reshape(20, 2, 2, 3), np.arange(20) % 10
    axes = plots.image_grid({"source": Digits(x, y, x, y), "target": Digits(x, y, x, y)}).axes
    assert len(axes) == 32
    assert [axis.get_title() for axis in axes[:16]] == [str(label) for label in y[:16]]
    np.testing.assert_array_equal(axes[16].images[0].get_array(), x[0])


def test_the_grid_shows_bent_images_under_their_own():
    x, y = np.arange(20 * 12, dtype=np.uint8).reshape(20, 2, 2, 3), np.arange(20) % 10
    digits = Digits(x, y, x, y)
    augment = {"source": lambda x, rng: 255.0 - x, "target": None}
    axes = plots.image_grid({"source": digits, "target": digits}, augment=augment).axes
    assert [axis.get_title() for axis in axes[:16]] == 2 * [str(label) for label in y[:8]]
    for image, axis in zip([*x[:8], *255 - x[:8], *x[:16]], axes, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), image)


def test_images_of_one_channel_are_shown_grey_from_black_to_white():
    x, y = np.full((16, 2, 2), 128, np.uint8), np.zeros(16, int)
    for axis in plots.image_grid({"source": Digits(x, y, x, y)}).axes:
        (image,) = axis.images
        assert image.get_cmap().name == "gray" and image.get_clim() == (0, 255)


def test_the_embedding_has_a_point_for_each_image():
    rng = np.random.default_rng(0)
    f, y = rng.standard_normal((40, 5)), np.arange(20) % 10
    by_domain, by_digit = plots.embedding({"dann": f}, y, y).axes
    assert [len(c.get_offsets()) for c in by_domain.collections] == [20, 20]
    assert sum(len(c.get_offsets()) for c in by_digit.collections) == 40
    markers = [c.get_paths()[0].vertices.shape for c in by_domain.collections]
    assert markers[0] != markers[1]


def test_of_many_classes_every_point_is_drawn_and_no_legend_names_them():
    rng = np.random.default_rng(0)
    f, y = rng.standard_normal((86, 5)), np.arange(43)
    by_domain, by_class = plots.embedding({"signs-pseudo": f}, y, y).axes
    assert by_domain.get_title() == "signs-pseudo: domains"
    assert "43 classes" in by_class.get_title() and by_class.get_legend() is None
    assert sum(len(c.get_offsets()) for c in by_class.collections) == 86


def test_blobs_has_a_panel_for_the_data_and_for_each_regime():
    source, target = make_blobs_pair(30, seed=0)
    figure = plots.blobs(source, target, {"one": (source.x, target.x), "two": (source.x, target.x)})
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:3] == ["the data", "one", "two"]
    assert len(figure.legends[0].get_texts()) == 4 and len(figure.axes) == 4


def test_the_confusion_names_the_share_of_right_answers_and_of_each():
    counts = np.diag(np.arange(1, 11))
    counts[9, 3] = 30  # of 40 nines
    (axis,) = plots.confusion({"dann": counts.tolist()}).axes
    assert axis.get_title() == f"DANN: {55 / 85:.2%} right"
    shown = {text.get_position(): text.get_text() for text in axis.texts}
    assert shown == {(i, i): "100" for i in range(9)} | {
        (9, 9): "25",
        (3, 9): "75",
    }  # x is the answer


def test_the_most_frequent_mistakes_have_a_bar_with_both_names():
    counts = np.diag(np.full(12, 4))
    counts[3, 7], counts[5, 2] = 12, 4  # of 16 and of 8
    figure = plots.confused_pairs(
        {"dann": counts, "signs-pseudo": np.eye(12, dtype=int)}, "abcdefghijkl"
    )
    dann, pseudo = figure.axes
    assert [text.get_text() for text in dann.get_yticklabels()] == [
        "d, taken for h",
        "f, taken for c",
    ]
    assert [bar.get_width() for bar in dann.patches] == [0.75, 0.5]
    assert dann.get_title() == "DANN: 75.00% right of 64 test images"
    assert pseudo.get_title() == "signs-pseudo: 100.00% right of 12 test images"
    assert not pseudo.patches


def test_of_many_mistakes_ten_are_shown():
    (axis,) = plots.confused_pairs({"dann": np.ones((12, 12), int)}, "abcdefghijkl").axes
    assert len(axis.patches) == 10


def test_dots_show_each_seed_and_the_mean():
    (axis,) = plots.dots({"one": [0.2, 0.4], "other": [0.9]}).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["one", "other"]
    assert [list(line.get_xdata()) for line in axis.lines] == [
        [0.2, 0.4],
        [pytest.approx(0.3)],
        [0.9],
        [0.9],
    ]
