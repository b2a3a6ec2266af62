"""The fast twins of the plain functions of :mod:`minidann.nn`: the same results, sooner."""
