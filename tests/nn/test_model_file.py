"""A trained DANN goes into a file and comes back as it was; what is no such file is refused."""

import errno
import io
import json
import os
import pickle
import resource
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidann import DANN
from minidann.nn import BatchNorm, Conv2D, Dense, Dropout, Flatten, ReLU, Sequential
from minidann.nn.model_file import TEXT
from minidann.nn.optimizers import Adam
from minidann.pseudo_labels import PseudoLabelDANN
from minidann.runtime.arrays import to_host
from minidann.runtime.errors import InputError
from minidann.runtime.npz import FINGERPRINT, LARGEST, fingerprint

PREPARATION = {"kind": "image", "size": 6, "mean": [1.5, 2.25, 1 / 3], "fit": "pad"}
NAMES = ["zero", "one", "två"]


def make(kind=DANN, seed=0, **options):
    """A small DANN for images (6, 6, 3), with all that has a state."""
    rng = np.random.default_rng(seed)
    features = [Conv2D(3, 4, 3, padding="valid", rng=rng), BatchNorm(4, domains=2), ReLU()]
    features += [Dropout(0.2, channels=True, rng=rng), Flatten()]
    heads = [Dense(64, 3, rng=rng)], [Dense(64, 5, rng=rng), ReLU(), Dense(5, 1, rng=rng)]
    return kind(*map(Sequential, (features, *heads)), **options)


def images(n=8, seed=1, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=(n, 6, 6, 3)).astype(dtype)


def train(dann, place=to_host, dtype=np.float32):
    """A few steps, after which the layers hold views of the optimizer's vector."""
    optimizer = Adam(dann.networks, 0.01)
    x, y = place(images(dtype=dtype)), place(np.arange(8) % 3)
    for _ in range(3):
        dann.compute_gradients(x, y, x[::-1] + 1, 0.5)
        optimizer.step()
    return dann


@pytest.fixture
def file(tmp_path):
    return tmp_path / "models" / "model.npz"  # in a folder that is yet to be made


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_are_the_same_to_the_last_bit(place, file, dtype):
    dann = make(reduction="sum", domain_weight=2.0).convert(lambda a: place(a.astype(dtype)))
    train(dann, place, dtype).save(file)
    again = DANN.load(file)
    assert type(again) is DANN and repr(again) == repr(dann)
    assert (again.reduction, again.domain_weight) == ("sum", 2.0)
    there = again.convert(place)
    for n in (1, 2, 8):
        x = place(images(n, seed=n, dtype=dtype))
        for method in ("predict", "predict_proba", "predict_domain", "transform"):
            one, other = (to_host(getattr(each, method)(x)) for each in (dann, there))
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_everything_comes_back(file):
    dann = train(make())
    dann.save(file, preparation=PREPARATION, class_names=NAMES)
    again = DANN.load(file)
    state, there = dann.state_dict(), again.state_dict()
    assert state.keys() == there.keys()
    for name, array in state.items():
        assert array.dtype == there[name].dtype and np.array_equal(array, there[name])
    assert again.preparation == dann.preparation == PREPARATION
    assert again.class_names == dann.class_names == NAMES


def test_what_a_dann_has_of_preparation_and_names_is_kept(file):
    make().save(file)
    assert DANN.load(file).preparation is None and DANN.load(file).class_names is None
    make().save(file, preparation=PREPARATION, class_names=tuple(NAMES))
    once = DANN.load(file)
    once.save(file)
    assert DANN.load(file).preparation == PREPARATION and DANN.load(file).class_names == NAMES


def test_training_goes_on_from_a_file(file):
    dann = train(make())
    dann.save(file)
    again = DANN.load(file)
    for one, other in zip(train(dann).state_dict().values(), train(again).state_dict().values()):
        np.testing.assert_array_equal(one, other)


def test_a_dann_of_another_kind_is_loaded_as_one_that_predicts(file):
    dann = make(PseudoLabelDANN, threshold=0.9)
    dann.save(file)
    again = PseudoLabelDANN.load(file)
    assert type(again) is DANN
    np.testing.assert_array_equal(again.predict_proba(images()), dann.predict_proba(images()))


def test_another_process_predicts_the_same(file, tmp_path):
    dann = train(make())
    dann.save(file)
    code = f"""
import numpy as np
from minidann import DANN
x = np.random.default_rng(1).normal(size=(8, 6, 6, 3)).astype(np.float32)
np.save({str(tmp_path / "found.npy")!r}, DANN.load({str(file)!r}).predict_proba(x))
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), dann.predict_proba(images()))


def test_the_file_is_plain_arrays_and_text(file):
    make().save(file, preparation=PREPARATION)
    with np.load(file, allow_pickle=False) as saved:
        arrays = dict(saved)
    assert "features.1.mean" in arrays and arrays["features.0.W"].dtype == np.float32
    said = json.loads(str(arrays[TEXT]))
    assert said["networks"]["label_head"]["layers"] == [
        {"layer": "Dense", "config": {"in_features": 64, "out_features": 3}}
    ]


# --- what cannot be saved


class Mine(ReLU):
    """A layer of one's own."""


@pytest.mark.parametrize(
    "change, options, said",
    [
        (lambda dann: dann.features.layers.append(Mine()), {}, "Mine is not one of the layers"),
        (lambda dann: setattr(dann, "reduction", "max"), {}, "the reduction is 'max'"),
        (lambda dann: setattr(dann, "domain_weight", np.inf), {}, "the domain weight is inf"),
        (None, {"preparation": [1, 2]}, "the preparation is not a dictionary"),
        (None, {"preparation": {"mean": np.zeros(3)}}, "not JSON serializable"),
        (None, {"preparation": {"mean": (1, 2)}}, "would not be the same after a trip"),
        (None, {"preparation": {1: 2}}, "would not be the same after a trip"),
        (None, {"class_names": [0, 1, 2]}, "the class names are not a list of texts"),
    ],
)
def test_what_cannot_be_saved_is_said_and_nothing_is_written(file, change, options, said):
    dann = make()
    if change:
        change(dann)
    with pytest.raises(InputError, match=said) as refused:
        dann.save(file, **options)
    assert "\n" not in str(refused.value) and not file.exists()
    assert dann.preparation is None and dann.class_names is None


def test_a_full_disk_leaves_the_model_before_it_whole(file):
    make().save(file)
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError) as full:
            make(seed=1).save(file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert full.value.errno == errno.EFBIG
    assert file.read_bytes() == before and list(file.parent.iterdir()) == [file]


# --- what cannot be loaded


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of a saved model."""
    file = tmp_path_factory.mktemp("model") / "model.npz"
    make().save(file, preparation=PREPARATION, class_names=NAMES)
    return file.read_bytes()


def npz(arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def changed(content, **replaced):
    """The file with some arrays replaced, or without those that are None; sealed anew."""
    with np.load(io.BytesIO(content), allow_pickle=False) as saved:
        arrays = dict(saved) | replaced
    del arrays[FINGERPRINT]
    arrays = {name: array for name, array in arrays.items() if array is not None}
    return npz(arrays | {FINGERPRINT: np.array(fingerprint(arrays))})


def said_otherwise(content, change):
    """The file with another architecture."""
    with np.load(io.BytesIO(content), allow_pickle=False) as saved:
        said = json.loads(str(saved[TEXT]))
    change(said)
    return changed(content, **{TEXT: np.array(json.dumps(said))})


def layer(said, i, network="features"):
    return said["networks"][network]["layers"][i]


W = "features.0.W"
DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "text": lambda content: b"model",
    "a pickle": lambda content: pickle.dumps(make().state_dict()),
    "a single array": lambda content: content[content.index(b"\x93NUMPY") :][:200],
    "no seal": lambda content: npz({"x": np.zeros(3)}),
    "no architecture": lambda content: changed(content, **{TEXT: None}),
    "an architecture that is no JSON": lambda content: changed(content, **{TEXT: np.array("{")}),
    "an architecture that is a list": lambda content: changed(content, **{TEXT: np.array("[]")}),
    "an architecture that is a number": lambda content: changed(content, **{TEXT: np.array(3)}),
    "an architecture of nothing": lambda content: changed(content, **{TEXT: np.array("{}")}),
    "another version": lambda content: said_otherwise(content, lambda said: said.update(format=2)),
    "a network less": lambda content: said_otherwise(
        content, lambda said: said["networks"].pop("domain_head")
    ),
    "no weights": lambda content: changed(content, **{W: None}),
    "no running statistics": lambda content: changed(content, **{"features.1.var": None}),
    "no generator": lambda content: changed(content, **{"features.3.rng": None}),
    "a generator of no kind": lambda content: changed(
        content, **{"features.3.rng": np.array('{"bit_generator": "x"}')}
    ),
    "wrong shapes": lambda content: changed(content, **{W: np.zeros((3, 3, 4, 3), np.float32)}),
    "weights that would broadcast": lambda content: changed(
        content, **{W: np.zeros((1, 1, 1, 1), np.float32)}
    ),
    "whole numbers as weights": lambda content: changed(
        content, **{W: np.zeros((3, 3, 3, 4), int)}
    ),
    "an array more": lambda content: changed(content, **{"features.9.W": np.zeros(3)}),
    "an array of no network": lambda content: changed(content, more=np.zeros(3)),
    "a layer that is none": lambda content: said_otherwise(
        content, lambda said: layer(said, 0).update(layer="eval")
    ),
    "a layer without arguments": lambda content: said_otherwise(
        content, lambda said: layer(said, 0).pop("config")
    ),
    "an argument more": lambda content: said_otherwise(
        content, lambda said: layer(said, 0)["config"].update(init="os.system")
    ),
    "an argument that is text": lambda content: said_otherwise(
        content, lambda said: layer(said, 0)["config"].update(in_channels="3")
    ),
    "a size that no memory has": lambda content: said_otherwise(
        content, lambda said: layer(said, 1)["config"].update(channels=10**12)
    ),
    "layers that are a number": lambda content: said_otherwise(
        content, lambda said: said["networks"]["features"].update(layers=3)
    ),
    "networks in networks without end": lambda content: changed(
        content, **{TEXT: np.array('{"format": 1, "networks": ' + '{"features": ' * 10**5)}
    ),
    "another reduction": lambda content: said_otherwise(
        content, lambda said: said.update(reduction="max")
    ),
    "a weight that is text": lambda content: said_otherwise(
        content, lambda said: said.update(domain_weight="2")
    ),
    "names that are a text": lambda content: said_otherwise(
        content, lambda said: said.update(class_names="abc")
    ),
    "no names": lambda content: said_otherwise(content, lambda said: said.pop("class_names")),
    "an option more": lambda content: said_otherwise(content, lambda said: said.update(more=1)),
    "a preparation that is a list": lambda content: said_otherwise(
        content, lambda said: said.update(preparation=[])
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_saved_dann_is_one_sentence(content, tmp_path, damage):
    file = tmp_path / "model.npz"
    file.write_bytes(DAMAGES[damage](content))
    with pytest.raises(InputError) as refused:
        DANN.load(file)
    said = str(refused.value)
    assert str(file) in said and "\n" not in said and "pickle" not in said and len(said) < 500


def test_the_damages_are_made_on_a_file_that_is_else_whole(content, tmp_path):
    file = tmp_path / "model.npz"
    for same in (changed, lambda content: said_otherwise(content, lambda said: None)):
        file.write_bytes(same(content))
        np.testing.assert_array_equal(DANN.load(file).predict(images()), make().predict(images()))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.npz cannot be read \(No such file"):
        DANN.load(tmp_path / "none.npz")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory"):
        DANN.load(tmp_path)


@settings(max_examples=200)
@given(data=st.data())
def test_no_byte_of_a_model_can_be_changed_unnoticed(content, tmp_path_factory, data):
    """Refused, or a byte that means nothing, such as the date of an entry."""
    at, bits = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    file = tmp_path_factory.getbasetemp() / "changed.npz"
    file.write_bytes(content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :])
    try:
        dann = DANN.load(file)
    except InputError as error:
        assert str(file) in str(error) and "pickle" not in str(error)
    else:
        assert dann.class_names == NAMES
        np.testing.assert_array_equal(dann.predict_proba(images()), make().predict_proba(images()))


class Trace:
    """Unpickling it would leave a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("where", [W, TEXT, "more", FINGERPRINT])
def test_nothing_is_ever_unpickled(content, tmp_path, where):
    trace, file = tmp_path / "trace", tmp_path / "model.npz"
    with np.load(io.BytesIO(content)) as saved:
        file.write_bytes(npz(dict(saved) | {where: np.array([Trace(trace)], dtype=object)}))
    with pytest.raises(InputError, match="neither number nor text"):
        DANN.load(file)
    assert not trace.exists()


def test_an_array_that_claims_more_than_the_file_has_takes_no_memory(content, tmp_path):
    """Whatever the checksums of the zip say."""
    file = tmp_path / "model.npz"
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == f"{W}.npy":
                data = data.replace(b"(3, 3, 3, 4)", b"(3,3,3,4000)")
            new.writestr(name, data)
    with pytest.raises(InputError, match=r"features\.0\.W\.npy is damaged"):
        DANN.load(file)


def test_a_file_of_more_bytes_than_any_network_has_is_not_read(content, tmp_path):
    file = tmp_path / "model.npz"
    file.write_bytes(content)
    os.truncate(file, LARGEST + 1)  # a hole, which takes no room on the disk
    with pytest.raises(InputError, match=f"it has {LARGEST + 1} bytes, more than"):
        DANN.load(file)
