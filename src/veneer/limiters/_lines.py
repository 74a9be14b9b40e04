"""Lines: who waits for which counters, and whose turn it is to ask again.

Everybody in a line takes from the same counters, and the first stands for all. A counter asks one
line at a time, by waking its first waiter, until there is no more to be had: then it waits until
more is expected, or comes back. Nothing is kept of lines and counters for which nobody waits.
"""

import asyncio

Key = tuple[str, tuple[str, ...]]

# Seconds at least between two turns of which the second is due to time alone: clocks differ.
SHORTEST = 0.001

# Seconds after which it is asked once more when something came back and was not there yet: a
# limiter that counts elsewhere settles in its own time.
SECOND_LOOK = 0.02


class Waiter:
    """One who waits; `line` are the keys of all that it takes from, `woken` its turn."""

    __slots__ = ("line", "woken")

    def __init__(self, line: frozenset[Key]) -> None:
        self.line = line
        self.woken: asyncio.Future[None] | None = None

    def wait(self) -> asyncio.Future[None]:
        """Return what is done when it is this one's turn; a turn it had before is over."""
        self.woken = asyncio.get_running_loop().create_future()
        return self.woken

    def wake(self) -> None:
        """Let it ask again."""
        if self.woken is not None and not self.woken.done():
            self.woken.set_result(None)


class _Line:
    """Those who take from the same counters, in order, and the counters that they wait for."""

    __slots__ = ("counters", "waiters")

    def __init__(self) -> None:
        self.waiters: dict[Waiter, None] = {}
        self.counters: dict[Key, _Counter] = {}

    @property
    def first(self) -> Waiter:
        return next(iter(self.waiters))


class _Counter:
    """The lines that wait for one counter.

    `queue` are those that are to be asked, in turn. Its first is `asking`, or `stuck` because this
    counter alone refused it: those behind it wait with it, else who asks for little would starve
    who asks for much. `tried` are lines that other counters refused as well: nobody waits for them.
    """

    __slots__ = ("asking", "key", "look_again", "queue", "stuck", "timer", "tried")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.queue: dict[_Line, None] = {}
        self.tried: dict[_Line, None] = {}
        self.asking = False
        self.stuck = False
        self.look_again = False
        self.timer: asyncio.TimerHandle | None = None

    def is_first(self, line: _Line) -> bool:
        return next(iter(self.queue), None) is line

    def release(self, line: _Line) -> None:
        """Have a line asked for its new first waiter, in its old place."""
        if self.is_first(line):
            self.asking = self.stuck = False
        elif line in self.tried:
            self.append(line)

    def append(self, line: _Line) -> None:
        """Put a line at the end."""
        self.remove(line)
        self.queue[line] = None

    def remove(self, line: _Line) -> None:
        if self.is_first(line):
            self.asking = self.stuck = False
        self.queue.pop(line, None)
        self.tried.pop(line, None)

    def hold(self, line: _Line, wait: float) -> None:
        """Have a line wait that this counter alone has refused."""
        if line in self.tried:
            self.append(line)
        if self.is_first(line):
            self.stuck = True
            self.arm(wait)

    def set_aside(self, line: _Line, wait: float) -> None:
        """Have a line wait that others refused as well."""
        self.remove(line)
        self.tried[line] = None
        self.arm(wait)

    def advance(self) -> None:
        """Give the first line its turn, unless it has it or cannot use it."""
        if self.queue and not self.asking and not self.stuck:
            self.asking = True
            next(iter(self.queue)).first.wake()

    def wake(self) -> None:
        """Begin a round: there may be room."""
        self.disarm()
        self.stuck = False
        self.queue.update(self.tried)
        self.tried.clear()
        self.advance()

    def arm(self, wait: float) -> None:
        """Begin the next round in so many seconds at the latest."""
        loop = asyncio.get_running_loop()
        wait = max(min(wait, SECOND_LOOK) if self.look_again else wait, SHORTEST)
        self.look_again = False
        if self.timer is not None and self.timer.when() <= loop.time() + wait:
            return
        self.disarm()
        self.timer = loop.call_later(wait, self.wake)

    def disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Lines:
    """All lines, by the keys of what those in them take from."""

    def __init__(self) -> None:
        self._lines: dict[frozenset[Key], _Line] = {}
        self._counters: dict[Key, _Counter] = {}

    def __bool__(self) -> bool:
        return bool(self._counters)

    def contended(self, keys: frozenset[Key]) -> frozenset[Key]:
        """Return those of the keys for which somebody waits."""
        return keys & self._counters.keys() if self._counters else frozenset()

    def join(self, waiter: Waiter, keys: frozenset[Key]) -> None:
        """Go to the end of its line; a line that is new waits for these keys."""
        line = self._lines.get(waiter.line)
        if line is not None:
            line.waiters[waiter] = None
            return
        line = self._lines[waiter.line] = _Line()
        line.waiters[waiter] = None
        for key in keys:
            self._enter(line, key)
        for counter in line.counters.values():
            counter.advance()

    def refused(self, waiter: Waiter, keys: frozenset[Key], wait: float) -> None:
        """Wait for these keys, of which all are expected to have room in so many seconds.

        It goes to the end of its line if it has waited in none so far.
        """
        line = self._lines.setdefault(waiter.line, _Line())
        line.waiters[waiter] = None
        if line.first is not waiter:
            return
        known = list(line.counters.values())
        for counter in known:
            if counter.asking and counter.is_first(line):
                counter.asking = False
            if counter.key not in keys:
                self._quit(line, counter)
        for key in keys:
            counter = line.counters.get(key) or self._enter(line, key)
            if len(keys) > 1:
                counter.set_aside(line, wait)
            else:
                counter.hold(line, wait)
        for counter in known:
            counter.advance()

    def admitted(self, waiter: Waiter) -> None:
        """Leave with what it wanted: its line is behind the others now."""
        line = self._lines[waiter.line]
        for counter in line.counters.values():
            counter.append(line)
        self.leave(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Leave, and let those behind it ask, if it had kept them from it."""
        for counter in self._remove(waiter):
            counter.advance()

    def give_up(self, waiter: Waiter, pause: float) -> None:
        """Leave, and let those behind it ask after a pause."""
        for counter in self._remove(waiter):
            if counter.queue and not counter.asking and not counter.stuck:
                counter.stuck = True
                counter.look_again = False
                counter.arm(pause)

    def wake(self, key: Key) -> None:
        """Something of this counter has come back."""
        counter = self._counters.get(key)
        if counter is not None:
            counter.look_again = True
            counter.wake()

    def _remove(self, waiter: Waiter) -> list[_Counter]:
        """Take one out that may have left already; return the counters that it stood before."""
        line = self._lines.get(waiter.line)
        if line is None or waiter not in line.waiters:
            return []
        was_first = line.first is waiter
        del line.waiters[waiter]
        if not was_first:
            return []
        counters = list(line.counters.values())
        for counter in counters:
            if line.waiters:
                counter.release(line)
            else:
                self._quit(line, counter)
        if not line.waiters:
            del self._lines[waiter.line]
        return counters

    def _enter(self, line: _Line, key: Key) -> _Counter:
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = _Counter(key)
        line.counters[key] = counter
        counter.queue[line] = None
        return counter

    def _quit(self, line: _Line, counter: _Counter) -> None:
        del line.counters[counter.key]
        counter.remove(line)
        if not counter.queue and not counter.tried:
            counter.disarm()
            del self._counters[counter.key]
