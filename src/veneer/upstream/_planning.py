"""Planning: a call as those see it who choose, and whom they have chosen."""

import msgspec

from veneer.call import Call
from veneer.catalog.needs import needs_of
from veneer.dialects.routing import STRATEGY
from veneer.errors import Error
from veneer.facts import OwnKeys
from veneer.operations import Operation
from veneer.quotas.estimate import CHARACTERS
from veneer.routing.choice import choose, in_order
from veneer.routing.observations import Observations
from veneer.routing.offers import Offers
from veneer.routing.plan import Ask, Plan, Step, Unfit
from veneer.routing.preferences import Preferences
from veneer.routing.prefix import Prefix
from veneer.upstream._refusals import unfit, unknown
from veneer.upstream._roster import Roster

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Asked(msgspec.Struct, frozen=True):
    """A call that names a model, its body, and what its client says of routing."""

    call: Call
    body: bytes
    preferences: Preferences
    own_keys: OwnKeys | None
    tries: int

    @property
    def models(self) -> tuple[str, ...]:
        """The models of the catalog that may answer."""
        return self.preferences.models or (self.call.model or "",)

    def of(self, offers: Offers, observations: Observations) -> Ask:
        """Return what is asked of these offers; what none of them goes by is not looked for."""
        call, models = self.call, self.models
        # The body of an upload is not read.
        needed = self.body and offers.tell_capabilities
        unknown = self.body and offers.unknown_parameters
        return Ask(
            models=models,
            preferences=self.preferences,
            input_tokens=call.input_bytes // CHARACTERS,
            output_tokens=observations.expected_output(models[0], call.output_cap),
            output_cap=call.output_cap,
            needs=needs_of(call, self.body) if needed else frozenset(),
            parameters=frozenset(_members(self.body)) if unknown else frozenset(),
            own_keys=frozenset() if self.own_keys is None else frozenset(self.own_keys.keys),
            tries=self.tries,
            now=observations.now(),
        )


def planned(asked: Asked, roster: Roster, prefix: Prefix, draw: float) -> Plan | Error:
    """Return who is asked for a call, or the error that it gets where nobody can be."""
    models = asked.models
    offers = roster.offers(models)
    if not offers:
        return unknown(models)
    readings = roster.readings(offers, prefix)
    found = choose(asked.of(offers, roster.observations), offers, readings, draw)
    if isinstance(found, Unfit):
        return unfit(found, limited=roster.are_limited(offers))
    return found


def unplanned(
    operation: Operation, roster: Roster, preferences: Preferences, own_keys: OwnKeys | None
) -> Plan | Error:
    """Return who is asked for a call that names no model, or its error: the targets in their order.

    What is stored was so by the first of them, with the operator's key, and is nowhere else.
    """
    offers = roster.nameless()
    if not operation.default:
        return Plan(steps=(Step(offer=offers[0]),), strategy=STRATEGY)
    ask = Ask(
        models=(),
        preferences=preferences,
        own_keys=frozenset() if own_keys is None else frozenset(own_keys.keys),
        tries=2 * len(offers),
    )
    found = in_order(ask, offers)
    return unfit(found, limited=False) if isinstance(found, Unfit) else found
