"""DANN that also learns from its own answers on the target: those that it is sure of become labels.

A batch has source images with labels, and of each target image two versions, one as it is or nearly
so, x, and one bent at random, x'.

    q = softmax(G_y(G_f(x)))                               what the network says of x, as in evaluation; no gradient passes here
    L_u = mean over target of [max_k q_k > tau] times the cross-entropy of G_y(G_f(x')) against argmax_k q_k
    L_b = class balance of G_y(G_f(x'))                    see minidann.nn.losses

    E(theta_f, theta_y, theta_d) = L_y - lam L_d + L_u + L_b

What is plain in x is to be said of x' too. The domain head draws the two domains together without a
regard for classes; L_u pulls each target image to the class that it is nearest to, and the next one
is surer for it. L_b keeps a class from swallowing its neighbour: it takes for granted that in the
target all classes are about equally frequent, which is knowledge, though no label.

A wrong answer that is sure of itself teaches itself to others (confirmation bias); against that
stands tau. With lam = 0 the domain head has no say, and what is left is self-training.

Source: Lee, *Pseudo-label* (2013); the two versions and tau = 0.95 are those of Sohn et al.,
*FixMatch* (2020). That what a network says of the target can teach it, if the images are bent
enough, goes back to French et al., *Self-ensembling for visual domain adaptation* (2018).
"""

from minidann.dann import DANN, Losses
from minidann.nn.losses import class_balance, softmax_cross_entropy
from minidann.runtime.arrays import array_module
from minidann.runtime.threads import on_all_cores


class PseudoLabelDANN(DANN):
    """A :class:`minidann.DANN` whose label head meets the target too; with batch-norm, in as many parts as the features.

    Parameters
    ----------
    features, label_head, domain_head : Sequential
    threshold : float
        tau, the probability above which an answer becomes a label.
    """

    def __init__(self, features, label_head, domain_head, *, threshold=0.95):
        super().__init__(features, label_head, domain_head)
        self.threshold = threshold

    @on_all_cores
    def compute_gradients(self, x_source, y_source, x_target, lam):
        """As :meth:`minidann.dann.DANN.compute_gradients`, but for x_target, a pair of arrays (M, ...): the same target examples twice, x and x'."""
        x, x_bent = x_target
        label, sure = self.pseudo_labels(x)
        n = len(x_source)
        f = self._joint_features(x_source, x_bent)
        z = self.label_head.forward(f, train=True)  # (N + M, K)
        L_y, dz_source = softmax_cross_entropy(z[:n], y_source)
        _, dz_target = softmax_cross_entropy(z[n:], label, weights=sure.astype(z.dtype))
        _, dz_balance = class_balance(z[n:])
        dz = array_module(z).concatenate([dz_source, dz_target + dz_balance])
        df_label = self.label_head.backward(dz)
        L_d, df = self._domain_loss(f, n, lam)
        self.features.parameter_gradients(df + df_label)
        return Losses(L_y, L_d)

    @on_all_cores
    def pseudo_labels(self, x):
        """The most probable class of each example, integers (M,), and whether its probability is above the threshold, bool (M,)."""
        z = self._label_logits(x)
        xp = array_module(z)
        best = z.max(axis=1, keepdims=True)
        return z.argmax(axis=1), 1 / xp.exp(z - best).sum(
            axis=1
        ) > self.threshold  # exp(best) / sum_j exp(z_j)
