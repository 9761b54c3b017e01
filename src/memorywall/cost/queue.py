"""Waiting in a queue: Kingman's formula, and its exponential tail.

J. F. C. Kingman, "The single server queue in heavy traffic", Mathematical Proceedings of the
Cambridge Philosophical Society 57 (1961), 902: the mean wait for one server is

    W = rho / (1 - rho) * (ca^2 + cs^2) / 2 * service_s

with the squared variations of the times between arrivals, ca^2 (1 for Poisson arrivals), and of
service, cs^2 (0 where all take as long). For c servers the first factor becomes
rho^(sqrt(2 (c + 1)) - 1) / (c (1 - rho)) (H. Sakasegawa, Annals of the Institute of Statistical
Mathematics 29 (1977), 67). In heavy traffic the wait of those who wait is exponential.
"""

from __future__ import annotations

from math import log, sqrt

_POISSON, _EVEN = 1.0, 0.0


def mean_wait_s(load: float, service_s: float, servers: int = 1) -> float:
    """Return the mean wait of Poisson arrivals for servers that take as long for each.

    Args:
        load: the share of the time that a server works; below 1.
        service_s: seconds of one service.
        servers: their number.
    """
    factor: float = load ** (sqrt(2 * (servers + 1)) - 1) / (servers * (1 - load))
    return factor * (_POISSON + _EVEN) / 2 * service_s


def wait_s(load: float, mean_s: float, share: float) -> float:
    """Return the wait that a share of arrivals stays below.

    Args:
        load: the share of arrivals that wait at all, which one server's load is.
        mean_s: the mean wait over all arrivals.
        share: such as 0.95.
    """
    if load <= 0 or 1 - share >= load:
        return 0.0
    return mean_s / load * log(load / (1 - share))
