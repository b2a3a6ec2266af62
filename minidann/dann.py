"""Domain-adversarial neural network: three networks and one step of gradients.

    features G_f (theta_f)         f = G_f(x)
    label head G_y (theta_y)       trained on the source, whose labels are known
    domain head G_d (theta_d)      says which domain f came from: 0 source, 1 target

    E(theta_f, theta_y, theta_d) = L_y(G_y(G_f(x_source)), y) - lam L_d(G_d(G_f(x)), d)

is sought at a saddle point: theta_f and theta_y minimise it, theta_d maximises it. Gradient descent
with learning rate mu does that if

    theta_y <- theta_y - mu dL_y/dtheta_y
    theta_d <- theta_d - mu dL_d/dtheta_d                           weight 1, not lam
    theta_f <- theta_f - mu (dL_y/dtheta_f - lam dL_d/dtheta_f)

and the last line is plain backpropagation once a GradientReversal stands in front of the domain
head.

Source: Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 17(59), 2016: equations
(10), (13)-(15); footnote 6 for the weight of the domain head.
"""

import math
from collections.abc import Callable, Iterator
from os import PathLike
from textwrap import indent
from typing import Any, NamedTuple

from minidann.nn import GradientReversal, Sequential
from minidann.nn.architecture import table
from minidann.nn.batchnorm import adapt_batch_norm
from minidann.nn.losses import (
    binary_cross_entropy,
    softmax,
    softmax_cross_entropy,
    unchecked_cross_entropy,
)
from minidann.nn.model_file import OPTIONS, read_model, write_model
from minidann.nn.wiring import check_boundary, check_domain_units, check_wiring, units_of
from minidann.runtime.arguments import arguments, call_arguments
from minidann.runtime.arrays import Array, array_module, check_array
from minidann.runtime.errors import InputError
from minidann.runtime.finite import require_finite
from minidann.runtime.preparing import is_integer
from minidann.runtime.state import State, check_state, part, with_prefix
from minidann.runtime.threads import on_all_cores

NETWORKS = ("features", "label_head", "domain_head")  # names of ``DANN.networks``


class Losses(NamedTuple):
    """L_y and L_d of one step; 0 where a step has no such part."""

    label: float = 0.0
    domain: float = 0.0


class DANN:
    """Features, a label head and, behind a gradient reversal, a domain head.

    Parameters
    ----------
    features, label_head, domain_head : Sequential
        G_f, G_y and G_d. ``domain_head`` ends in two units (softmax) or one (logistic, as in the
        paper).
    reduction : "mean" or "sum"
        Whether each loss is averaged or summed over its examples. With "sum", L_d weighs more: it
        has twice the examples.
    domain_weight : float
        What L_d is multiplied by. Over equal halves a weight of 2 makes the mean of both domains
        the paper's sum of the two domains' means.

    Attributes
    ----------
    preparation : dict or None
        How network input is made of stored examples; see :meth:`save`.
    class_names : list of str or None
        What the classes are called.
    prepare : (function, function) or None
        What makes network input of stored source and target examples, as
        :func:`minidann.train.fit` found it; None if that is not known.

    Raises
    ------
    ValueError
        If the networks make no DANN: a layer stands twice, a head does not end in logits, the
        domain head has more than two units, or a GradientReversal is in it already.
    """

    # the networks that see a batch of both domains
    _of_both_domains: tuple[str, ...] = ("features", "domain_head")

    def __init__(
        self,
        features: Sequential,
        label_head: Sequential,
        domain_head: Sequential,
        reduction: str = "mean",
        domain_weight: float = 1.0,
    ) -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f'reduction is {reduction!r}; it must be "mean" or "sum"')
        check_wiring(dict(zip(NETWORKS, (features, label_head, domain_head))))
        self.features, self.label_head, self.domain_head = features, label_head, domain_head
        self.reduction, self.domain_weight = reduction, float(domain_weight)
        self.preparation: dict[str, Any] | None = None
        self.class_names: list[str] | None = None
        self.prepare: tuple[Callable, Callable] | None = None
        self._reversal = GradientReversal()
        self._reversed_domain_head = Sequential([self._reversal, domain_head])

    def __setattr__(self, name: str, value: Any) -> None:
        if name in NETWORKS and name in vars(self):
            raise ValueError(
                f"{name} cannot be exchanged, for an optimizer may hold its layers; make a new "
                "DANN of the networks that you want, and a new optimizer of these"
            )
        super().__setattr__(name, value)

    @property
    def networks(self) -> tuple[Sequential, Sequential, Sequential]:
        """The three networks, in the form that the optimizers take."""
        return self.features, self.label_head, self.domain_head

    @property
    def classes(self) -> int | None:
        """How many units the label head has; None if it does not end in a Dense layer."""
        return units_of(list(self.label_head.leaves()))

    def convert(self, function: Callable) -> "DANN":
        """Replace every array a of the three networks by ``function(a)``.

        Another device (``to_device``), or another precision.
        """
        for network in self.networks:
            network.convert(function)
        return self

    def state_dict(self) -> State:
        """Copies of all that training changes, in main memory, such as ``"features.0.W"``."""
        state: State = {}
        for name, network in self._named().items():
            state |= with_prefix(name, network.state_dict())
        return state

    def load_state_dict(self, state: State) -> None:
        """The inverse of ``state_dict``: every array goes to where its twin lives.

        Raises
        ------
        ValueError
            If names, shapes or dtypes are not those of ``state_dict()``.
        """
        check_state(state, self.state_dict())
        for name, network in self._named().items():
            network.load_state_dict(part(state, name))

    def __repr__(self) -> str:
        shown = [f"{name}={network!r}" for name, network in self._named().items()]
        shown += call_arguments(type(self), arguments(self))
        lines = "".join(f"{argument},\n" for argument in shown)
        return f"{type(self).__name__}(\n{indent(lines, '    ')})"

    def summary(self, input_shape: tuple[int, ...]) -> str:
        """A table of all layers for inputs of a shape such as (28, 28, 3).

        Of each layer it shows the shape of its output for one example and the number of its
        parameters.

        Raises
        ------
        InputError
            If such an input does not fit the networks.
        """
        try:
            return table(self._named(), input_shape)
        except ValueError as error:
            raise InputError(str(error)) from error

    def save(
        self,
        path: str | PathLike,
        *,
        preparation: dict[str, Any] | None = None,
        class_names: list[str] | None = None,
    ) -> None:
        """Write the network to a file, whole or not at all, for :meth:`load`.

        Parameters
        ----------
        path : path
            An .npz file of plain arrays and text.
        preparation : dict, optional
            How network input is made of stored examples, in values that JSON can hold; for images
            :meth:`minidann.data.preprocessing.ImagePreparation.to_dict`. By default the attribute
            ``preparation``.
        class_names : list of str, optional
            What the classes are called, in the order of the label head's units. By default the
            attribute ``class_names``.

        Raises
        ------
        InputError
            If a layer is not one of ``minidann.nn``, or one of the options is none.
        """
        options = {name: getattr(self, name) for name in OPTIONS}
        if preparation is not None:
            options["preparation"] = preparation
        if class_names is not None:
            options["class_names"] = list(class_names)
        write_model(path, self._named(), self.state_dict(), options)
        self.preparation, self.class_names = options["preparation"], options["class_names"]

    @staticmethod
    def load(path: str | PathLike) -> "DANN":
        """The network in a file of :meth:`save`, in main memory, ready to predict.

        A subclass is loaded as a plain DANN: what it adds is how it is trained. Nothing in the file
        is evaluated or unpickled.

        Raises
        ------
        InputError
            If the file is missing, damaged or not such a file.
        """
        networks, options = read_model(path, NETWORKS)
        preparation, class_names = options.pop("preparation"), options.pop("class_names")
        try:
            dann = DANN(**networks, **options)
        except ValueError as error:
            raise InputError(f"{path} is not a saved DANN that can be used ({error})") from error
        dann.preparation, dann.class_names = preparation, class_names
        return dann

    def _named(self):
        return dict(zip(NETWORKS, self.networks))

    @on_all_cores
    def compute_gradients(
        self, x_source: Array, y_source: Array, x_target: Array, lam: float
    ) -> Losses:
        """Set the gradients of all three networks for one joined batch.

        Parameters
        ----------
        x_source, x_target : array (N, ...), (M, ...)
        y_source : integer array (N,)
            There is no y_target: target labels have no way in.
        lam : float
            Strength of the reversal.

        Returns
        -------
        Losses
            L_y and L_d before the step.

        Raises
        ------
        ValueError
            If lam is not finite, the labels are not N integers of classes, or the examples do not
            fit each other or the networks. Where a BatchNorm has ``domains=2``, N must be M.
        """
        f = self._joint_features(x_source, x_target)
        n = len(x_source)
        L_y, df_label = self._label_loss(f[:n], y_source)  # (N, F)
        L_d, df = self._domain_loss(f, n, lam)  # (N + M, F), which is -lam dL_d/df
        df[:n] += df_label  # f feeds both heads: the gradients add
        self.features.parameter_gradients(df)
        return Losses(L_y, L_d)

    @on_all_cores
    def compute_label_gradients(self, x: Array, y: Array) -> Losses:
        """Set the gradients of features and label head for L_y alone.

        This is training without adaptation.
        """
        check_array(x, "x")
        L_y, df = self._label_loss(self.features.forward(x, train=True), y)
        self.features.parameter_gradients(df)
        return Losses(label=L_y)

    @on_all_cores
    def compute_domain_gradients(self, x_source: Array, x_target: Array, lam: float) -> Losses:
        """Set the gradients of features and domain head for L_d alone.

        At lam = -1 this trains an ordinary domain classifier.
        """
        f = self._joint_features(x_source, x_target)
        L_d, df = self._domain_loss(f, len(x_source), lam)
        self.features.parameter_gradients(df)
        return Losses(domain=L_d)

    def _joint_features(self, x_source, x_target):
        check_array(x_source, "x_source")
        check_array(x_target, "x_target")
        if len(x_source) != len(x_target):
            for name in self._of_both_domains:
                check_boundary(getattr(self, name), len(x_source), len(x_target))
        try:
            x = array_module(x_source).concatenate([x_source, x_target])
        except ValueError as error:
            raise ValueError(
                f"a source example is of shape {x_source.shape[1:]}, a target example of shape "
                f"{x_target.shape[1:]}; they must be alike"
            ) from error
        return self.features.forward(x, train=True)

    def _label_loss(self, f, y):
        logits = self.label_head.forward(f, train=True)
        loss, dlogits = softmax_cross_entropy(logits, y, self.reduction)
        return loss, self.label_head.backward(dlogits)

    def _domain_loss(self, f, n_source, lam):
        if not math.isfinite(lam):
            raise ValueError(f"lam is {lam}; it must be a finite number")
        self._reversal.lam = float(lam)  # a NumPy float64 would widen float32 gradients
        d = array_module(f).zeros(len(f), dtype=int)
        d[n_source:] = 1
        logits = self._reversed_domain_head.forward(f, train=True)
        units = logits.shape[-1]
        if units > 2:
            check_domain_units(units)
        cross_entropy = binary_cross_entropy if units == 1 else unchecked_cross_entropy
        loss, dlogits = cross_entropy(logits, d, self.reduction)
        df = self._reversed_domain_head.backward(self.domain_weight * dlogits)
        return self.domain_weight * loss, df

    @on_all_cores
    def predict(self, x: Array, batch_size: int = 500) -> Array:
        """The most probable class of each example: integers (N,).

        See :meth:`network_input` for x (N, ...).
        """
        return self._batched(lambda part: self._label_logits(part).argmax(axis=1), x, batch_size)

    @on_all_cores
    def predict_proba(self, x: Array, batch_size: int = 500) -> Array:
        """The probability of each class for each example: (N, K), each row adds up to 1."""
        return self._batched(lambda part: softmax(self._label_logits(part)), x, batch_size)

    @on_all_cores
    def predict_domain(self, x: Array, batch_size: int = 500) -> Array:
        """The more probable domain of each example, 0 source and 1 target: integers (N,)."""
        return self._batched(
            lambda part: self.domain_of(self.domain_head.forward(self.features.forward(part))),
            x,
            batch_size,
        )

    @on_all_cores
    def transform(self, x: Array, batch_size: int = 500) -> Array:
        """The features f = G_f(x): (N, F)."""
        return self._batched(self.features.forward, x, batch_size)

    @on_all_cores
    def adapt_batch_norm(self, x: Array) -> None:
        """Evaluate from now on with the batch-norm statistics of x (N, ...).

        They are examples of one domain; see :mod:`minidann.nn.batchnorm`.
        """
        check_array(x, "x")
        require_finite(x)
        adapt_batch_norm(self.features, self.network_input(x), self.label_head, self.domain_head)

    def _label_logits(self, x):
        return self.label_head.forward(self.features.forward(x))

    @staticmethod
    def domain_of(logits: Array) -> Array:
        """The domain that each row of the domain head's output speaks for."""
        check_domain_units(logits.shape[-1])
        return (logits[:, 0] > 0).astype(int) if logits.shape[1] == 1 else logits.argmax(axis=1)

    def network_input(self, x: Array, domain: int = 1) -> Array:
        """What the networks take: x itself, or x prepared as in training if it is integers.

        So images can be given as the bytes that training got them as. Numbers with a fraction are
        taken to be prepared already.

        Parameters
        ----------
        x : array (N, ...)
        domain : int
            Whose preparation it is, if there are two: 0 that of the source, 1 that of the target.

        Raises
        ------
        InputError
            If x is integers and cannot be prepared here.
        """
        if not is_integer(x):
            return x
        if self.prepare is None and self.preparation is not None:
            raise InputError(
                f"the examples are {x.dtype}, as they are stored, but this network takes them "
                "prepared; for images that is ImagePreparation.from_dict(dann.preparation)(images)"
            )
        return self.prepare[domain](x) if self.prepare else x

    def parts(self, x: Array, batch_size: int, prepare: Callable | None = None) -> Iterator[Array]:
        """Network input a part of x at a time, so that a large x needs little memory.

        ``prepare`` makes it; by default :meth:`network_input` does.

        Raises
        ------
        InputError
            If x is no array, empty, or holds NaN or infinity, of which every network makes class 0.
        """
        check_array(x, "x")
        if not len(x):
            raise InputError("there are no examples; give at least one")
        require_finite(x)
        for start in range(0, len(x), batch_size):
            yield (prepare or self.network_input)(x[start : start + batch_size])

    def _batched(self, function, x, batch_size):
        found = [function(part) for part in self.parts(x, batch_size)]
        return array_module(found[0]).concatenate(found)
