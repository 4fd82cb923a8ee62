"""Bugs in consuming, producing and deadlines."""

from typing import Final

from tests.simulation.planted import Mutant, mutant

_CONSUMING: Final = "services/runtime/consuming.py"
_HANDLING: Final = "services/runtime/handling.py"
_DEADLINES: Final = "services/runtime/deadlines.py"

MUTANTS: Final[tuple[Mutant, ...]] = (
    mutant(
        "commit-before-handling",
        "A batch is called finished when it is taken.",
        _CONSUMING,
        "            self._idle.clear()\n            started_at",
        "            self._idle.clear()\n            self._finish(batch)\n            started_at",
    ),
    mutant(
        "commit-past-in-flight",
        "The offset to commit is the next one to read, whatever is unfinished before it.",
        "services/runtime/ledger.py",
        "return self.outstanding[0] if self.outstanding else self.next_offset",
        "return self.next_offset",
    ),
    mutant(
        "caught-up-at-once",
        "Deadlines fire before what happened during an outage has been read.",
        "services/runtime/ledger.py",
        "return bool(places) and all(self._tracks[place].position >= self._ends.get(place, 0) for place in places)",
        "return bool(places)",
    ),
    mutant(
        "neighbours-of-garbage-lost",
        "What comes after a record that nobody can read is dropped with it.",
        _CONSUMING,
        "                undecodable.append(letter)\n                continue",
        "                undecodable.append(letter)\n                break",
    ),
    mutant(
        "dead-letter-not-written",
        "What nobody can read is logged and forgotten.",
        _HANDLING,
        "        if letters:\n            await self._patiently(lambda: self._set_aside(letters))",
        "        del letters",
    ),
    mutant(
        "retries-end",
        "After two attempts a batch is given up, though what it needs is only away.",
        _HANDLING,
        "on=again, attempts=None, timeout=None",
        "on=again, attempts=2, timeout=None",
    ),
    mutant(
        "batch-dropped-when-away",
        "A batch that meets a part that is away is taken for handled.",
        _HANDLING,
        "            refusals = await self._patiently(lambda: self._handler(batch))\n        except Abandoned:\n",
        "            try:\n                refusals = await self._handler(batch)\n"
        "            except Exception as away:\n"
        "                if is_unavailable(away):\n                    return []\n                raise\n"
        "        except Abandoned:\n",
    ),
    mutant(
        "failed-delivery-ignored",
        "What the broker did not take is taken for published.",
        "services/runtime/producing.py",
        "            if refusal := delivery.exception():\n                failure = failure or refusal\n"
        "            else:\n                acknowledged.update(map(id, delivered))",
        "            delivery.exception()\n            acknowledged.update(map(id, delivered))",
    ),
    mutant(
        "sweeper-off",
        "Nobody looks for what is overdue.",
        _DEADLINES,
        "        await self._sweep(alive, now)\n",
        "",
    ),
    mutant(
        "done-before-handling",
        "A deadline is deleted when it is claimed, before it is handled.",
        _DEADLINES,
        "                await self._hand_out(due, token)\n        finally:",
        "                await self._persist(lambda: self._store.done(ids, token=token))\n"
        "                await self._hand_out(due, token)\n        finally:",
    ),
    mutant(
        "dead-claims-kept",
        "What a dead worker had claimed is never handed out again.",
        "services/runtime/deadline_store.py",
        "        if idle := idle - {token}:",
        "        if idle := idle & {token}:",
    ),
)
