"""How well a trained DANN does, on both questions it is asked."""

from minidann.runtime.arrays import array_module, to_host
from minidann.runtime.threads import on_all_cores


def accuracy(predicted, labels):
    """Share of predictions that equal their labels, a float in 0..1."""
    return float((predicted == labels).mean())


@on_all_cores
def predictions(dann, x, prepare=None, batch_size=500):
    """(classes, domains) that a DANN in evaluation mode predicts: two integer arrays (N,) in main memory.

    Parameters
    ----------
    x : array (N, ...)
    prepare : function, optional
        Applied to each part of x before the network sees it, so that images can stay bytes.
    batch_size : int
        Examples worked on at a time.
    """
    classes, domains = [], []
    for start in range(0, len(x), batch_size):
        part = x[start : start + batch_size]
        f = dann.features.forward(prepare(part) if prepare else part)
        classes.append(dann.label_head.forward(f).argmax(axis=1))
        domains.append(dann.domain_of(dann.domain_head.forward(f)))
    return tuple(to_host(array_module(parts[0]).concatenate(parts)) for parts in (classes, domains))


def evaluate(dann, source, target, prepare=None, prepare_target=None):
    """The four accuracies of a DANN.

    Parameters
    ----------
    source, target : (x, y)
        Examples (N, ...) and class labels (N,) of each domain. Target labels serve here, to report,
        and nowhere else.
    prepare, prepare_target : function, optional
        See :func:`predictions`. One given alone is for both domains.

    Returns
    -------
    dict of str to float
        ``source_class``, ``target_class``: share of right classes; ``source_domain``,
        ``target_domain``: share of examples recognised as what they are. Where the domains can not
        be told apart the two average to one half.
    """
    result = {}
    of_source, of_target = (
        ("source", *source, prepare),
        ("target", *target, prepare_target or prepare),
    )
    for domain, (name, x, y, prepare) in enumerate((of_source, of_target)):
        classes, domains = predictions(dann, x, prepare)
        result[f"{name}_class"] = accuracy(classes, to_host(y))
        result[f"{name}_domain"] = accuracy(domains, domain)
    return result
