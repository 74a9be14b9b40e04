"""Ranking: offers in the order in which they serve a call, and who of them is looked at again."""

from collections.abc import Sequence
from math import exp
from operator import add

from veneer.routing.constraint import Pair
from veneer.routing.offers import Offers
from veneer.routing.plan import Ask
from veneer.routing.preferences import Weights
from veneer.routing.scores import scores, strategy_of

# Scores as near as this are alike: about 1 % of what is measured.
NEAR = 0.01

# Seconds after which one that scores as well as the best is looked at again; with what it is worse
# by, the time grows as the square of it. So what is lost by looking is bounded.
REVISIT = 30.0
# The shares of calls that look at one that is due, and at one that was away.
LOOKING = 0.04
PROBING = 0.2

# What goes before scores, which are never as far apart: those that were away come after all others,
# and the models come in their order where that counts. Among those of a model, one whose context is
# likely too small comes after all others, and who has no price after those that have, where the
# price counts.
_AWAY = 1e10
_GROUP = 1e6
_MODEL = 8 * _GROUP
_TIGHT = 4 * _GROUP
_NOT_PREFERRED = 2 * _GROUP
_UNPRICED = _GROUP


def places(pairs: Sequence[Pair], ask: Ask, offers: Offers, weights: Weights) -> list[float]:
    """Return the place of each offer, the lower the better; alike are those that are `NEAR`."""
    found = scores(pairs, ask, weights)
    wanted = ask.preferences
    tokens = ask.input_tokens + (ask.output_cap or 0)
    if tokens > offers.context_window:
        _put_back(found, [_TIGHT * ((each.context_window or tokens) < tokens) for each, _ in pairs])
    if weights.cost and not offers.priced:
        _put_back(found, [_UNPRICED * (each.rates is None) for each, _ in pairs])
    if wanted.prefer is not None:
        _put_back(found, [_NOT_PREFERRED * (each.target != wanted.prefer) for each, _ in pairs])
    if wanted.mode == "fallback" and len(ask.models) > 1:
        order = {model: _MODEL * place for place, model in enumerate(ask.models)}
        _put_back(found, [order[each.model] for each, _ in pairs])
    away = [reading.probing for _, reading in pairs]
    if True in away:
        _put_back(found, [_AWAY * each for each in away])
    return found


def _put_back(found: list[float], by: Sequence[float]) -> None:
    found[:] = map(add, found, by)


def due(
    order: Sequence[int], pairs: Sequence[Pair], found: Sequence[float], ask: Ask, draw: float
) -> int | None:
    """Return who is looked at by this call, though another may be better, None for nobody.

    That is who is most overdue of those that are not behind the best but by their scores, if the
    call goes by anything that is measured. One that was away may be found back whatever it goes by.
    Nobody looks where somebody does.
    """
    if draw >= (PROBING if found[order[-1]] >= _AWAY / 2 else LOOKING):
        return None
    best = found[order[0]]
    measured = draw < LOOKING and strategy_of(ask.preferences)[1].cost < 1
    most_overdue, longest = None, 1.0
    for index, (_, reading) in enumerate(pairs):
        worse = found[index] - best - _AWAY * reading.probing
        if reading.outstanding or worse > _GROUP / 2:
            continue
        if reading.probing:
            overdue = (ask.now - reading.seen) / REVISIT
        elif measured and index != order[0]:
            overdue = (ask.now - reading.seen) / REVISIT * exp(-2 * worse)
        else:
            continue
        if overdue > longest:
            most_overdue, longest = index, overdue
    return most_overdue


def drawn(
    order: list[int], pairs: Sequence[Pair], found: Sequence[float], most: int, draw: float
) -> list[int]:
    """Return the first of an order, where those that are alike take turns by their weights.

    The share of one that is busy is the smaller.
    """
    taken: list[int] = []
    while order and len(taken) < most:
        if len(order) == 1:
            taken.append(order.pop())
            break
        least = found[order[0]] + NEAR
        alike = 1
        while alike < len(order) and found[order[alike]] <= least:
            alike += 1
        at = 0
        if alike > 1:
            likely = [pairs[index] for index in order[:alike]]
            at, draw = _pick([o.weight / (1 + r.outstanding) for o, r in likely], draw)
        taken.append(order.pop(at))
    return taken


def _pick(shares: Sequence[float], draw: float) -> tuple[int, float]:
    """Return who is hit by a draw, and the draw that is left: it is spread as evenly as before."""
    whole = sum(shares)
    if whole <= 0:
        shares, whole = [1.0] * len(shares), float(len(shares))
    aim = draw * whole
    for position, share in enumerate(shares):
        if aim < share:
            return position, aim / share
        aim -= share
    return max(range(len(shares)), key=shares.__getitem__), 0.0
