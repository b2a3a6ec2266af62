"""The page of public names holds: each can be imported, is documented and has its type hints."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "public-api.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(minidann[\w.]*)` \| (.+) \|$", re.MULTILINE)
PUBLIC = {module: re.findall(r"`(\w+)`", names) for module, names in ROW.findall(PAGE)}
NAMES = [f"{module}.{name}" for module, names in PUBLIC.items() for name in names]
each_name = pytest.mark.parametrize("name", NAMES)


def found(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def functions(thing):
    """A function itself, or the constructor and the public methods of a class, by name.

    What a class inherits from outside of minidann (a list's ``append``) is documented there, and a
    property made of a lambda is an attribute, which the class documents.
    """
    if inspect.isfunction(thing):
        return {thing.__name__: thing}
    own = {}
    for cls in reversed(getattr(thing, "__mro__", ())):
        if cls.__module__.startswith("minidann"):
            own |= {name: value for name, value in vars(cls).items() if not name.startswith("_")}
            own |= {"__init__": cls.__init__}
    own = {name: getattr(value, "__func__", value) for name, value in own.items()}
    own = {name: getattr(value, "fget", value) for name, value in own.items()}
    return {
        name: value
        for name, value in own.items()
        if inspect.isfunction(value) and value.__name__ != "<lambda>"
    }


def unhinted(function):
    """The parameters without a type hint, and "return" if the result has none."""
    signature = inspect.signature(function)
    missing = [
        name
        for name, parameter in signature.parameters.items()
        if name not in ("self", "cls") and parameter.annotation is parameter.empty
    ]
    if function.__name__ != "__init__" and signature.return_annotation is signature.empty:
        missing.append("return")
    return missing


@each_name
def test_a_public_name_can_be_imported(name):
    found(name)


@pytest.mark.parametrize("package", ["minidann", "minidann.nn", "minidann.data"])
def test_what_a_package_offers_is_public(package):
    assert set(importlib.import_module(package).__all__) == set(PUBLIC[package])


@each_name
def test_a_public_name_is_documented(name):
    thing = found(name)
    if not callable(thing):
        return
    assert inspect.getdoc(thing)
    if inspect.isclass(thing):
        methods = set(functions(thing)) - {"__init__"}  # the class documents its constructor
        assert [method for method in methods if not inspect.getdoc(getattr(thing, method))] == []


@each_name
def test_a_public_name_has_all_its_type_hints(name):
    missing = {of: unhinted(function) for of, function in functions(found(name)).items()}
    assert {of: names for of, names in missing.items() if names} == {}


def test_the_page_is_read():
    assert len(PUBLIC) > 20 and len(NAMES) > 80
