"""What an object was made of: the arguments of its constructor, and the call that they make."""

from collections.abc import Mapping
from inspect import signature
from typing import Any


def arguments(thing: Any) -> dict[str, Any]:
    """The arguments of its constructor that are attributes of the same name.

    Only numbers, texts, None, and tuples or lists of them.
    """
    found = {name: getattr(thing, name, ...) for name in signature(type(thing)).parameters}
    return {name: value for name, value in found.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def call_arguments(cls: type, values: Mapping[str, Any]) -> list[str]:
    """The arguments in a call of ``cls``, such as ``['3', '64', 'padding="valid"']``.

    Those that have their default value are left out.
    """
    shown, in_order = [], True
    for name, parameter in signature(cls).parameters.items():
        required = parameter.default is parameter.empty
        if name not in values:
            in_order = in_order and not required  # those behind it need their names
        elif required and in_order and parameter.kind is not parameter.KEYWORD_ONLY:
            shown.append(_literal(values[name]))
        elif required or parameter.default != values[name]:
            shown.append(f"{name}={_literal(values[name])}")
    return shown


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
