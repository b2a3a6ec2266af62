"""Amazon reviews: is a review positive? Four domains, 2,000 labelled training reviews each.

The reviews are of books, DVDs, electronics and kitchen articles. Blitzer, Dredze and Pereira,
*Biographies, Bollywood, Boom-boxes and Blenders*, 2007, as the authors of DANN published them: for
each of 5,000 words and pairs of words, how often it occurs. The files are svmlight text, one review
a line: its label, then ``word:count`` for the words that occur, numbered from 0:

    -1 0:3 1:2 2:1 ... 4812:1            -1 negative, 1 positive

Copies that number them from 1, as svmlight itself does, are known by a word 5000.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from minidann.data.store import File, PathLike, find, read, verify
from minidann.runtime.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SOURCE = (
    "https://raw.githubusercontent.com/GRAAL-Research/domain_adversarial_neural_network/"
    "master/data/"
)
KINDS = ("books", "dvd", "electronics", "kitchen")
WORDS = 5000
SHA256 = {  # of the parsed rows, words, counts and labels
    "books_test": "dbb9bd9bf4651745075cbaf4e164b353b4826a67b252645c8291bed3a7d76aeb",
    "books_train": "99414685b1e67c0c90e14f73189c9478c61d7d6f8ff87a7105e70f67f6021509",
    "dvd_test": "6e196c5b77e9d42a851e6a871e81250fa7dbae1320843a3dfde6ac75eb3adb14",
    "dvd_train": "79b8c62b5f2f6c47c572e387f1969ae3fb1757fad573b204ed3d76ca75e565f4",
    "electronics_test": "8e8ae97dc6779775b00fc63410411874eb0e01ba4fa0e50683ce34c2fa1645fb",
    "electronics_train": "7e0f6a89314d0726be940b32d26d90e2e6363486955b794d2cd90a8f15301764",
    "kitchen_test": "aa51a925130152445ad934caaa1d9b63b5848df13e69f6cf805e60b50ab935ac",
    "kitchen_train": "9c81f64181ca93c30af0a057bd285a03ee74e66652732d4777550f5cd20a3c0a",
}
FILES = {
    name: File(f"amazon/{name}.svmlight", (f"{SOURCE}{name}.svmlight",), sha256, largest=10_000_000)
    for name, sha256 in SHA256.items()
}
LARGEST = 10_000_000  # bytes; the largest file has 2.5 million
LARGEST_REVIEWS = 20_000  # these take 400 MB as a dense array; the largest file has 5,945


class Reviews(NamedTuple):
    """Reviews of one kind of article, split in two.

    ``x_*`` float32 (N, 5000), how often each word occurs, dense or
    :class:`scipy.sparse.csr_matrix`; ``y_*`` int64 (N,), 1 positive, 0 negative.
    """

    x_train: np.ndarray | csr_matrix
    y_train: np.ndarray
    x_test: np.ndarray | csr_matrix
    y_test: np.ndarray


def load_amazon(kind: str, data_dir: PathLike | None = None, *, sparse: bool = False) -> Reviews:
    """The reviews of one kind.

    They are read from ``amazon/KIND_train.svmlight`` and ``amazon/KIND_test.svmlight`` of a data
    folder.

    Parameters
    ----------
    kind : {"books", "dvd", "electronics", "kitchen"}
    data_dir : path, optional
        Searched before the folders of :mod:`minidann.data.store`.
    sparse : bool
        Whether the counts are sparse matrices; dense ones take 40 MB for the 2,000 training reviews
        and up to 119 MB for the test reviews.

    Returns
    -------
    Reviews
        2,000 training reviews, half of them positive; 4,465, 3,586, 5,681 or 5,945 test reviews.

    Raises
    ------
    InputError
        If there is no such kind, or a file is missing or damaged.
    """
    if kind not in KINDS:
        raise InputError(
            f"there are no Amazon reviews of {kind!r}; choose one of {', '.join(KINDS)}"
        )
    arrays = []
    files = [FILES[f"{kind}_{split}"] for split in ("train", "test")]
    paths = [find(file, data_dir) for file in files]
    for file, path, (counts, labels) in zip(files, paths, read_svmlight(*paths)):
        verify(file, path, *content(counts, labels))
        counts = counts.astype(np.float32)
        arrays += [counts if sparse else counts.toarray(), labels]
    return Reviews(*arrays)


def read_svmlight(*paths: Path) -> list[tuple[csr_matrix, np.ndarray]]:
    """The counts and labels of files whose words have the same numbers, from 0 or from 1.

    Returns
    -------
    list of (counts, labels)
        float64 scipy.sparse.csr_matrix (N, 5000); int64 array (N,), 0 negative, 1 positive.

    Raises
    ------
    InputError
        As :func:`read_numbers`, or if there are 5,001 words.
    """
    found = [read_numbers(path) for path in paths]
    used = [np.isin((0, WORDS), counts.indices) for counts, _ in found]
    from_zero, from_one = np.any(used, axis=0)
    if from_zero and from_one:
        raise InputError(
            f"{' and '.join(map(str, paths))} number words from 0 to {WORDS}, but there are {WORDS}"
            f"; download it again from {SOURCE}"
        )
    columns = slice(1, None) if from_one else slice(WORDS)
    return [(counts[:, columns], labels) for counts, labels in found]


def read_numbers(path: Path) -> tuple[csr_matrix, np.ndarray]:
    """The counts of a file, by the number that each word has there, and its labels.

    Returns
    -------
    counts : float64 scipy.sparse.csr_matrix (N, 5001)
    labels : int64 array (N,)
        0 negative, 1 positive.

    Raises
    ------
    InputError
        If the file cannot be read, is larger than any of these files, or not in this format.
    """
    # these take most of a second to import
    from scipy.sparse import csr_matrix
    from sklearn.datasets import load_svmlight_file

    remedy = f"download it again from {SOURCE}{path.name}"
    text = read(path, LARGEST, remedy)
    try:
        counts, labels = load_svmlight_file(
            io.BytesIO(text), n_features=WORDS + 1, dtype=np.float64, zero_based=True
        )
    except (ValueError, OverflowError, IndexError) as error:
        raise InputError(f"{path} cannot be read ({error}); {remedy}") from error
    if not 0 < len(labels) <= LARGEST_REVIEWS:
        raise InputError(
            f"{path} holds {len(labels)} reviews, not 1 to {LARGEST_REVIEWS}; {remedy}"
        )
    unknown = labels[~np.isin(labels, (-1, 1))]
    if len(unknown):
        raise InputError(
            f"{path} holds the label {unknown[0]:g}, but a review is -1 or 1; {remedy}"
        )
    if not (np.abs(counts.data) <= np.finfo(np.float32).max).all():
        raise InputError(f"{path} holds a count that is not a finite number; {remedy}")
    return csr_matrix(counts), (labels > 0).astype(np.int64)


def content(counts: csr_matrix, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """What is verified: where the rows end, the words, their counts, the labels.

    Their types are the same on every machine.
    """
    return (
        counts.indptr.astype(np.int64),
        counts.indices.astype(np.int64),
        counts.data.astype(np.float64),
        labels.astype(np.int64),
    )
