"""What is alike in all seeds, made once for all of them: policies, keys, settings, metrics."""

import contextlib
import functools
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final
from unittest import mock

from services.notifier.app import load_policy
from services.notifier.policy import NotificationPolicy
from services.organisation.directory import Organisation, organisation
from services.organisation.directory_store import packaged
from services.runtime.sealing import Keyring
from services.runtime.settings import RuntimeSettings
from services.runtime.written import read_yaml_file
from services.service_levels.policy import PACKAGED, SlaPolicy, parse_policy
from services.service_levels.rulebook import Policies
from services.wording.templates import Templates
from tests.simulation.retries import Retries
from tests.simulation.scenario import Rules

_RULED: Final[Mapping[Rules, tuple[tuple[str, ...], list[float], list[float]]]] = {
    Rules.ANSWERS: (("first_answer", "resolution"), [0.5, 0.8], [1.0]),
    Rules.REVIEWS: (("first_answer", "resolution", "first_review", "approval"), [0.6], [1.0, 1.5]),
    Rules.UNITS: (("first_answer", "unit_response", "liability_response"), [0.7], [1.0]),
    Rules.STATUTORY: (("first_answer", "statutory_user"), [0.8], [1.0]),
    Rules.OWNERS: (("resolution", "unit_response"), [0.8], [1.0]),
    Rules.LATE: (("resolution", "statutory_user"), [0.8], [1.0, 4.0]),
}
"""Clocks beside the confirmation's, which every policy has, warnings, and shares of escalation. Every step of a clock
costs a seed its time, so each seed has some kinds of clocks and steps, and all seeds together have all kinds."""


@functools.cache
def settings(kind: Any, partitions: int, **given: Any) -> Any:
    """Settings of a service, read once."""
    assert issubclass(kind, RuntimeSettings)
    return kind(partitions=partitions, **given)


@functools.cache
def keyring() -> Keyring:
    """Keys of this run of the program."""
    path = Path(mkdtemp()) / "keyring.json"
    with mock.patch("os.urandom", random.Random("keys").randbytes):
        return Keyring.create(path)


@functools.cache
def sla_policy_document(rules: Rules) -> dict[str, Any]:
    """The demonstration's policy with a fifteenth of its limits, and of its clocks and steps so many: see `_RULED`."""
    clocks, warnings, shares = _RULED[rules]
    document: dict[str, Any] = read_yaml_file(PACKAGED / "demo.yaml")
    document["calendars"] = read_yaml_file(PACKAGED / "calendars.yaml")
    document["warnings"] = warnings
    document["escalation"]["shares"] = shares
    for ladder in document["escalation"]["ladders"]:
        ladder["levels"] = ladder["levels"][: len(shares)]
    document["clocks"] = {name: document["clocks"][name] for name in ("acknowledge", *clocks)}
    for clock in document["clocks"].values():
        for rule in clock["rules"]:
            rule["target"] = f"{max(3, int(rule['target'].removesuffix('s')) // 15)}s"
    return document


@functools.cache
def sla_policy(rules: Rules) -> SlaPolicy:
    """The same, read."""
    return parse_policy(sla_policy_document(rules))


@functools.cache
def notification_policy() -> NotificationPolicy:
    """The policy that comes with the package, with seconds instead of minutes and no nights."""
    policy = load_policy(None)
    return policy.model_copy(
        update={
            "moments": {m: r.model_copy(update={"at_night": True}) for m, r in policy.moments.items()},
            "cap": policy.cap.model_copy(update={"messages": 50}),
            "promise": policy.promise.model_copy(update={"wait_s": 4.0}),
            "receipt_wait_s": 4.0,
            "retry": policy.retry.model_copy(update={"longest_s": 3.0, "channel_s_max": 8.0}),
            "lease_s": 3.0,
            "lookup_after_s": 2.5,
            "told_shift_s_min": 1.0,
        }
    )


@contextlib.contextmanager
def made_once() -> Iterator[None]:
    """What every start of a process would make or read again is made by the first."""
    with (
        mock.patch.multiple("services.runtime.metrics", Counter=_Unseen, Gauge=_Unseen, Histogram=_Unseen),
        mock.patch("stamina.retry_context", Retries),
        mock.patch.object(Templates, "load", _templates),
        mock.patch.object(SlaPolicy, "model_validate_json", _sla_version),
        mock.patch("services.sla_monitor.app.Policies", _policies),
        mock.patch("services.sla_monitor.app.DIGITS_MAX", 0),
        mock.patch("services.router.app.packaged", _packaged),
        mock.patch("services.router.app.organisation", _organisation),
        mock.patch("services.organisation.directory_store.packaged", _packaged),
        mock.patch("services.organisation.directory_store.organisation", _organisation),
    ):
        yield


class _Unseen:
    """A metric, which nobody scrapes in a simulation."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        """Whatever it is called."""

    def labels(self, *_values: Any, **_named: Any) -> "_Unseen":
        """Any of them."""
        return self

    def set(self, _value: float) -> None:
        """Forget it."""

    inc = dec = observe = lambda self, _amount=1.0: None

    def clear(self) -> None:
        """There is nothing."""


_packaged = functools.cache(packaged)
_sla_version = functools.cache(SlaPolicy.model_validate_json)
_load = Templates.load
_ORGANISATIONS: Final[dict[int, Organisation]] = {}
_TEMPLATES: Final[dict[int, Templates]] = {}
_POLICIES: Final[dict[tuple[int, ...], Policies]] = {}


def _organisation(content: Mapping[str, Any]) -> Organisation:
    version = content.get("version", 0)
    if version not in _ORGANISATIONS:
        _ORGANISATIONS[version] = organisation(content)
    return _ORGANISATIONS[version]


def _templates(policy: NotificationPolicy) -> Templates:
    if policy.version not in _TEMPLATES:
        _TEMPLATES[policy.version] = _load(policy)
    return _TEMPLATES[policy.version]


def _policies(versions: Iterable[SlaPolicy]) -> Policies:
    known = list(versions)
    which = tuple(map(id, known))  # They are kept for ever, by `sla_policy` and `_sla_version`.
    if which not in _POLICIES:
        _POLICIES[which] = Policies(known)
    return _POLICIES[which]
