"""DANN that also learns from its own predictions on the target, where it is confident of them.

A batch has source images with labels, and two versions of each target image: x, weakly augmented or
as it is, and x', strongly augmented.

    q = softmax(G_y(G_f(x)))       what the network predicts for x, in evaluation mode; no gradient
                                   flows back through q
    L_u = mean over the target of
          [max_k q_k > tau] times the cross-entropy of G_y(G_f(x')) against argmax_k q_k
    L_b = class balance of G_y(G_f(x')), see minidann.nn.losses

    E(theta_f, theta_y, theta_d) = L_y - lam L_d + L_u + beta L_b

What the network predicts for x, it should predict for x' too. The domain head draws the domains
together without regard to classes. L_u pulls each target image towards the class that it is nearest
to, which makes the network more confident of the next one. L_b keeps one class from swallowing its
neighbour. It assumes that all classes are about equally frequent in the target, and that a batch
holds many of each: that is prior knowledge, though it is no label. Where it does not hold, beta is
0.

A confident wrong prediction teaches itself to others (confirmation bias); tau guards against that.
With lam = 0 the domain head has no influence, and what is left is self-training.

Source: Lee, *Pseudo-label* (2013). The two versions and tau = 0.95 come from Sohn et al.,
*FixMatch* (2020). That the network's own predictions on the target can teach it, given strong
enough augmentation, goes back to French et al., *Self-ensembling for visual domain adaptation*
(2018).
"""

from minidann.dann import DANN, NETWORKS, Losses
from minidann.nn import Sequential
from minidann.nn.losses import class_balance, softmax_cross_entropy
from minidann.runtime.arrays import Array, array_module, check_array
from minidann.runtime.errors import InputError
from minidann.runtime.threads import on_all_cores


class PseudoLabelDANN(DANN):
    """A :class:`minidann.DANN` whose label head sees target examples too.

    If there is batch-norm, that of the label head treats as many domains separately as that of the
    features.

    Parameters
    ----------
    features, label_head, domain_head : Sequential
    threshold : float
        tau, the probability above which a prediction becomes a label.
    balance : float
        beta, the weight of the class balance; 0 where classes are not equally frequent.

    Raises
    ------
    ValueError
        As :class:`minidann.DANN`, and if the threshold is no probability.
    """

    _of_both_domains = NETWORKS

    def __init__(
        self,
        features: Sequential,
        label_head: Sequential,
        domain_head: Sequential,
        *,
        threshold: float = 0.95,
        balance: float = 1.0,
    ):
        super().__init__(features, label_head, domain_head)
        if not 0 <= threshold <= 1:
            raise ValueError(f"the threshold is {threshold}; give a probability, from 0 to 1")
        self.threshold, self.balance = threshold, balance

    @on_all_cores
    def compute_gradients(
        self, x_source: Array, y_source: Array, x_target: tuple[Array, Array], lam: float
    ) -> Losses:
        """As :meth:`minidann.dann.DANN.compute_gradients`, but for two versions of the target.

        ``x_target`` is a pair of arrays (M, ...): the same examples as x and as x'.
        """
        if not isinstance(x_target, tuple | list) or len(x_target) != 2:
            raise InputError(
                f"x_target is one {type(x_target).__name__}; give a pair, the same examples "
                "augmented weakly and strongly"
            )
        x, x_strong = x_target
        label, confident = self.pseudo_labels(x)
        f = self._joint_features(x_source, x_strong)  # (N + M, F)
        n = len(x_source)
        z = self.label_head.forward(f, train=True)  # (N + M, K)
        L_y, dz_source = softmax_cross_entropy(z[:n], y_source)
        _, dz_target = softmax_cross_entropy(z[n:], label, weights=confident.astype(z.dtype))
        if self.balance:
            dz_target += self.balance * class_balance(z[n:])[1]
        dz = array_module(z).concatenate([dz_source, dz_target])
        df_label = self.label_head.backward(dz)
        L_d, df = self._domain_loss(f, n, lam)
        self.features.parameter_gradients(df + df_label)
        return Losses(L_y, L_d)

    @on_all_cores
    def pseudo_labels(self, x: Array) -> tuple[Array, Array]:
        """The most probable class of each example, and whether it is above the threshold.

        Returns
        -------
        label : integer array (M,)
        confident : bool array (M,)
        """
        check_array(x, "x")
        z = self._label_logits(x)
        best = z.max(axis=1, keepdims=True)
        # the largest probability is exp(best) / sum_k exp(z_k)
        probability = 1 / array_module(z).exp(z - best).sum(axis=1)
        return z.argmax(axis=1), probability > self.threshold
