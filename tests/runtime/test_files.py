"""Files that are written whole or not at all."""

import pytest

from minidann.runtime.errors import InputError
from minidann.runtime.files import replacing, writable


def test_a_file_is_replaced_when_all_went_well(tmp_path):
    path = tmp_path / "new" / "results.json"
    for text in ("first", "second"):
        with replacing(path) as temporary:
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_on_an_error_the_old_file_is_intact_and_nothing_else_is_left(tmp_path, error):
    path = tmp_path / "results.json"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_on_an_error_before_anything_is_written_nothing_is_left(tmp_path):
    with pytest.raises(ValueError), replacing(tmp_path / "results.json"):
        raise ValueError
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_file_stands_beside_its_goal_and_keeps_the_suffix(tmp_path):
    with replacing(tmp_path / "figure.png") as temporary:
        assert (
            temporary.parent == tmp_path
            and temporary.suffix == ".png"
            and temporary.name != "figure.png"
        )
        temporary.write_bytes(b"")


def test_writable_makes_the_folder_and_leaves_no_trace(tmp_path):
    assert writable(tmp_path / "a/b") == tmp_path / "a/b"
    assert not list((tmp_path / "a/b").iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--out"):
        writable(tmp_path / "file")


def test_two_who_write_one_file_at_once_do_not_share_a_temporary_one(tmp_path):
    """Threads have one process number, and so may processes on two machines of a cluster."""
    path = tmp_path / "results.json"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]
