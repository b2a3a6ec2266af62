"""Where files are looked for, and files that are written whole or not at all."""

import pytest

from minidann.data import store
from minidann.errors import InputError

NAME = "mnist/labels.gz"


def put(folder, name=NAME):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_folders_are_searched_in_order(no_data, tmp_path, monkeypatch):
    """Found in the last folder first, then in each one before it as soon as it is there."""
    monkeypatch.setenv("MINIDANN_DATA", str(tmp_path / "environment"))
    (tmp_path / "named").mkdir()
    for folder in (tmp_path / "home" / ".cache" / "minidann", tmp_path / "elsewhere" / "datasets", tmp_path / "environment", tmp_path / "named"):
        path = put(folder)
        assert store.find(NAME, "", tmp_path / "named").resolve() == path


def test_a_file_may_lie_there_uncompressed(no_data, tmp_path):
    path = put(tmp_path, "mnist/labels")
    assert store.find(NAME, "", tmp_path) == path


def test_a_named_folder_that_is_none_is_refused(no_data, tmp_path):
    with pytest.raises(InputError, match=r"nowhere is not a folder.*--data-dir"):
        store.find(NAME, "", tmp_path / "nowhere")


def test_a_missing_file_says_where_it_was_sought_where_to_get_it_and_what_needs_none(no_data, tmp_path):
    with pytest.raises(InputError) as error:
        store.find(NAME, "https://example.org/", tmp_path)
    for part in (NAME, str(tmp_path), "https://example.org/", "--data-dir", "MINIDANN_DATA", "--data digits"):
        assert part in str(error.value)


def test_a_file_is_replaced_when_all_went_well(tmp_path):
    path = tmp_path / "new" / "results.json"
    for text in ("first", "second"):
        with store.replacing(path) as temporary:
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_on_an_error_the_old_file_is_intact_and_nothing_else_is_left(tmp_path, error):
    path = tmp_path / "results.json"
    path.write_text("old")
    with pytest.raises(error), store.replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_on_an_error_before_anything_is_written_nothing_is_left(tmp_path):
    with pytest.raises(ValueError), store.replacing(tmp_path / "results.json"):
        raise ValueError
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_file_stands_beside_its_goal_and_keeps_the_suffix(tmp_path):
    with store.replacing(tmp_path / "figure.png") as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".png" and temporary.name != "figure.png"
        temporary.write_bytes(b"")
