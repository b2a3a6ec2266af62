"""Amazon reviews: svmlight files, whole and damaged; the published ones where they are at hand."""

import os

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import dump_svmlight_file

from minidann.data import amazon_reviews
from minidann.data.amazon_reviews import KINDS, load_amazon, read_svmlight
from minidann.data.store import digest
from minidann.runtime.errors import InputError

TEST_REVIEWS = {
    "books": (2201, 2264),
    "dvd": (1779, 1807),
    "electronics": (2824, 2857),
    "kitchen": (2991, 2954),
}  # negative, positive


def reviews(n, seed=0):
    """Counts, csr (n, 5000), and labels -1 and 1, both there."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 8, (n, 5000)) * (rng.random((n, 5000)) < 0.01)
    return csr_matrix(counts.astype(float)), np.where(np.arange(n) % 3, 1, -1)


@pytest.fixture
def folder(no_data, tmp_path, monkeypatch):
    """A data folder with a few reviews of books: 5 to train on and 3 to test."""
    monkeypatch.setenv("MINIDANN_VERIFY", "0")
    (tmp_path / "amazon").mkdir()
    for split, n in (("train", 5), ("test", 3)):
        dump_svmlight_file(
            *reviews(n), str(tmp_path / "amazon" / f"books_{split}.svmlight"), zero_based=True
        )
    return tmp_path


def test_what_was_written_is_read(folder):
    dense, sparse = load_amazon("books", folder), load_amazon("books", folder, sparse=True)
    for split, n in (("train", 5), ("test", 3)):
        counts, labels = reviews(n)
        x, y, x_sparse, y_sparse = (
            getattr(some, f"{name}_{split}") for some in (dense, sparse) for name in "xy"
        )
        assert (
            type(x) is np.ndarray
            and x.dtype == np.float32
            and x.shape == (n, 5000)
            and x.flags.c_contiguous
            and y.dtype == np.int64
        )
        np.testing.assert_array_equal(x, counts.toarray())
        np.testing.assert_array_equal(y, labels > 0)
        assert (
            isinstance(x_sparse, csr_matrix)
            and x_sparse.dtype == np.float32
            and np.array_equal(x_sparse.toarray(), x)
            and np.array_equal(y_sparse, y)
        )


def test_words_are_numbered_from_zero_even_where_the_first_does_not_occur(tmp_path):
    path = tmp_path / "books_train.svmlight"
    path.write_bytes(b"1 1:2 4999:3\n-1 7:1\n")
    [(counts, labels)] = read_svmlight(path)
    assert (
        counts.shape == (2, 5000)
        and counts[0, 1] == 2
        and counts[0, 4999] == 3
        and counts[1, 7] == 1
        and counts.nnz == 3
    )
    np.testing.assert_array_equal(labels, [1, 0])


def test_words_may_be_numbered_from_one(folder):
    """The last word, which one file holds and the other does not, says so of both."""
    dense, numbers = load_amazon("books", folder), {}
    for split, n in (("train", 5), ("test", 3)):
        counts, labels = reviews(n)
        counts = counts.tolil()
        counts[0, 4999] = 7 if split == "train" else 0
        numbers[split] = counts.toarray()
        path = folder / "amazon" / f"books_{split}.svmlight"
        dump_svmlight_file(counts.tocsr(), labels, str(path), zero_based=False)
    found = load_amazon("books", folder)
    np.testing.assert_array_equal(found.x_train, numbers["train"])
    np.testing.assert_array_equal(found.x_test, dense.x_test)


def test_a_review_without_any_of_the_words_is_a_row_of_zeros(tmp_path):
    path = tmp_path / "books_train.svmlight"
    path.write_bytes(b"1\n-1 0:1\n")
    [(counts, labels)] = read_svmlight(path)
    assert counts.toarray().sum(axis=1).tolist() == [0, 1] and labels.tolist() == [1, 0]


DAMAGES = {
    "empty": lambda text: b"",
    "line ends alone": lambda text: b"\n\n\n",
    "garbage": lambda text: bytes(range(256)) * 4,
    "NUL bytes": lambda text: bytes(99),
    "a web page": lambda text: b"<html>404: Not Found</html>",
    "404": lambda text: b"404: Not Found",
    "cut short in a pair": lambda text: text[: text.rindex(b":")],
    "cut short after a colon": lambda text: text[: text.rindex(b":") + 1],
    "label 0": lambda text: b"0 " + text.split(b" ", 1)[1],
    "label nan": lambda text: b"nan " + text.split(b" ", 1)[1],
    "no labels": lambda text: text.split(b" ", 1)[1],
    "two labels": lambda text: b"1,-1 " + text.split(b" ", 1)[1],
    "words 0 and 5000": lambda text: b"1 0:1 5000:1\n" + text,
    "word 5001": lambda text: b"1 5001:1\n" + text,
    "word -1": lambda text: b"1 -1:1\n" + text,
    "word 10^12": lambda text: b"1 1000000000000:1\n" + text,
    "word 10^30": lambda text: b"1 1" + b"0" * 30 + b":1\n" + text,
    "words out of order": lambda text: b"1 5:1 4:1\n" + text,
    "a word twice": lambda text: b"1 5:1 5:1\n" + text,
    "a count that is none": lambda text: b"1 5:nan\n" + text,
    "an infinite count": lambda text: b"1 5:inf\n" + text,
    "a count beyond float32": lambda text: b"1 5:1e99\n" + text,
    "a letter": lambda text: text.replace(b":", b"x:", 1),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_named(folder, damage):
    path = folder / "amazon" / "books_train.svmlight"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError) as error:
        load_amazon("books", folder)
    assert str(path) in str(error.value) and "download it again from https://" in str(error.value)


def test_a_file_larger_than_any_is_not_read_on(folder, monkeypatch):
    monkeypatch.setattr(amazon_reviews, "LARGEST", 100)
    with pytest.raises(InputError, match=r"books_train\.svmlight holds more than 100 bytes"):
        load_amazon("books", folder)


def test_more_reviews_than_fit_in_memory_are_refused_before_they_are_made_dense(folder):
    (folder / "amazon" / "books_test.svmlight").write_bytes(b"1\n" * 1_000_000)  # 20 GB if dense
    with pytest.raises(InputError, match=r"books_test\.svmlight holds 1000000 reviews"):
        load_amazon("books", folder)


def test_a_folder_in_place_of_a_file_is_named(folder):
    (folder / "amazon" / "books_test.svmlight").unlink()
    (folder / "amazon" / "books_test.svmlight").mkdir()
    with pytest.raises(InputError, match=r"books_test\.svmlight cannot be read"):
        load_amazon("books", folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(folder):
    (folder / "amazon" / "books_test.svmlight").chmod(0)
    with pytest.raises(InputError, match=r"books_test\.svmlight cannot be read"):
        load_amazon("books", folder)


def test_a_missing_file_says_where_to_get_it(folder):
    with pytest.raises(
        InputError, match=r"dvd_train\.svmlight.*https://raw\.githubusercontent\.com"
    ):
        load_amazon("dvd", folder)


@pytest.mark.parametrize("kind", ["music", "", None, "../books"])
def test_another_kind_is_refused(folder, kind):
    with pytest.raises(InputError, match="choose one of books, dvd, electronics, kitchen"):
        load_amazon(kind, folder)


def test_other_reviews_than_the_published_are_refused(folder, monkeypatch):
    monkeypatch.delenv("MINIDANN_VERIFY")
    with pytest.raises(
        InputError, match=r"books_train\.svmlight .*published.*https://.*MINIDANN_VERIFY=0"
    ):
        load_amazon("books", folder)
    for split, n in (("train", 5), ("test", 3)):
        counts, labels = reviews(n)
        sha256 = digest(
            counts.indptr.astype(np.int64),
            counts.indices.astype(np.int64),
            counts.data.astype(np.float64),
            (labels > 0).astype(np.int64),
        )
        monkeypatch.setitem(
            amazon_reviews.FILES,
            f"books_{split}",
            amazon_reviews.FILES[f"books_{split}"]._replace(sha256=sha256),
        )
    load_amazon("books", folder)
    path = folder / "amazon" / "books_test.svmlight"
    path.write_bytes(b"1" + path.read_bytes().removeprefix(b"-1"))
    with pytest.raises(InputError, match=r"books_test\.svmlight .*published"):
        load_amazon("books", folder)


@pytest.mark.skipif(
    "MINIDANN_DATA" not in os.environ,
    reason="MINIDANN_DATA names no folder with the real reviews in amazon/",
)
@pytest.mark.parametrize("kind", KINDS)
def test_the_real_reviews_have_their_published_label_counts(kind, monkeypatch):
    monkeypatch.delenv("MINIDANN_VERIFY", raising=False)
    found = load_amazon(kind, sparse=True)
    assert found.x_train.shape == (2000, 5000) and np.bincount(found.y_train).tolist() == [
        1000,
        1000,
    ]
    assert (
        found.x_test.shape == (sum(TEST_REVIEWS[kind]), 5000)
        and tuple(np.bincount(found.y_test)) == TEST_REVIEWS[kind]
    )
    assert found.x_train.data.min() == 1 and (found.x_train.data % 1 == 0).all()  # counts
