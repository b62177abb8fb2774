"""The choice of a variant, as a pure function of records and a budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from eagerbench.case import DEFAULT
from eagerbench.errors import BadInput, unknown
from eagerbench.results.decision import judging, left_out, quantities, settling, text
from eagerbench.results.decision.budget import Budget, echoed
from eagerbench.results.decision.candidates import EAGER, Known, default_places, known
from eagerbench.results.decision.comparing import Comparison, Ratios, front
from eagerbench.results.decision.evidence import Source, Subject, gather, key, shown
from eagerbench.results.decision.types import Candidate, Decision, Judged, Miss, Verdict


def decide(sources: Sequence[Source], budget: Budget = Budget()) -> Decision:  # noqa: B008 (frozen)
    """What to take for each model and device of the files, under the budget.

    Raises:
        BadInput: files of several machines, none with a record of ours, or a workload or model that they do not have.
    """
    return decide_on(gather_all(sources), budget)


@dataclass(frozen=True)
class Gathered:
    """What `evidence.gather` found in files of these names: read once, for one budget after another."""

    files: list[str]
    subjects: list[Subject]
    machine: dict[str, str]
    bad: dict[str, str]
    ratios: dict[tuple, Ratios] = field(default_factory=dict)
    known: dict[tuple, list[Known]] = field(default_factory=dict)

    def known_ratios(self, subject: Subject, places: Sequence[tuple[str, str]], budget: Budget) -> Ratios:
        """What was compared for a budget before: limits change nothing of it."""
        asked = subject.model, subject.device, tuple(places), budget.objective, budget.calls
        return self.ratios.setdefault(asked, {})


def gather_all(sources: Sequence[Source]) -> Gathered:
    """Raises BadInput as `decide` does."""
    return Gathered([source.name for source in sources], *gather(sources))


def decide_on(found: Gathered, budget: Budget) -> Decision:
    """As `decide`, of files that were read before."""
    subjects = _named(found.subjects, budget)
    asked = [(subject, places) for subject in subjects if (places := _places(subject, budget)) is not None]
    if budget.workload and not asked:
        valid = ", ".join(dict.fromkeys(key(place) for subject in subjects for place in subject.places()))
        raise BadInput(f"no model has every workload of {', '.join(budget.workload)}; valid: {valid}")
    asked = _first_of(asked, lambda subject, places: any(one.observed.get(place) for place in places
                                                         for one in subject.variants.values()))
    asked = _first_of(asked, lambda subject, places: bool(places) or _has_latency(subject))
    return Decision(files=found.files, machine=found.machine, budget=budget, budget_flags=echoed(budget),
                    verdicts=[_verdict(subject, places, budget, found) for subject, places in asked])


Asked = list[tuple[Subject, list[tuple[str, str]]]]


def _first_of(asked: Asked, wanted: Callable[[Subject, list[tuple[str, str]]], bool]) -> Asked:
    """Those that are wanted, where there are any: the others are models of other experiments."""
    return [one for one in asked if wanted(*one)] or asked


def _has_latency(subject: Subject) -> bool:
    return any(place[0] == DEFAULT for place in subject.places())


def _named(subjects: list[Subject], budget: Budget) -> list[Subject]:
    """Of the models that the budget names."""
    names = {subject.model for subject in subjects}
    for name in budget.model:
        if name not in names:
            raise unknown("model", name, sorted(names))
    return [subject for subject in subjects if not budget.model or subject.model in budget.model]


def _places(subject: Subject, budget: Budget) -> list[tuple[str, str]] | None:
    """The workloads that are asked, each once; None where the model lacks one of them."""
    if not budget.workload:
        return default_places(subject)
    by_name: dict[str, list[tuple[str, str]]] = {}
    for place in subject.places():
        some = next((found[0] for one in subject.variants.values() if (found := one.observed.get(place))), None)
        name = shown(place, some)
        for called in {place[1], key(place), "/".join(place), name, name.replace("×", "x")}:
            by_name.setdefault(called, []).append(place)
    found = [_one_of(name, by_name.get(name, [])) for name in budget.workload]
    return None if None in found else list(dict.fromkeys(found))


def _one_of(name: str, places: list[tuple[str, str]]) -> tuple[str, str] | None:
    """The workload of that name; without its experiment, that of latency.

    Raises:
        BadInput: several other experiments have one of that name.
    """
    of_latency = [place for place in places if place[0] == DEFAULT]
    if len(places) > 1 and not of_latency:
        names = " or ".join(f"--workload {'/'.join(place)}" for place in places)
        raise BadInput(f"--workload {name}: {len(places)} experiments have it; give {names}")
    return next(iter(of_latency or places), None)


def _verdict(subject: Subject, places: list[tuple[str, str]], budget: Budget, gathered: Gathered) -> Verdict:
    found = known(subject, places, budget, gathered.known) if places else []
    of_limits = {one.variant: judging.judged(one, budget) for one in found}
    weighed = _Weighed(found, of_limits, Comparison(budget, gathered.known_ratios(subject, places, budget)))
    choice = weighed.choice()
    ties = weighed.ties(choice) if choice else []
    on_front = front(found, budget)
    candidates = [_candidate(one, weighed, choice, ties, one.variant in on_front,
                             settling.settles(one, of_limits[one.variant], weighed.comparison.rank(one) is not None,
                                              subject, places, budget))
                  for one in weighed.in_order()]
    by_name = {one.variant: one for one in candidates}
    asked = places or [place for place in subject.places() if place[0] == DEFAULT] or subject.places()
    some = next((one.any for one in subject.variants.values() if one.any), None)
    verdict = Verdict(
        model=subject.model, device=subject.device, threads=some.record.identity.threads if some else None,
        workloads=[key(place) for place in asked], choice=choice.variant if choice else None, why=weighed.why(choice),
        ties=[one.variant for one in ties], nearest_miss=weighed.nearest_miss(choice),
        unjudged=[one.variant for one in weighed.unjudged(choice)],
        front=[one.variant for one in candidates if one.front], candidates=candidates,
        excluded=left_out.excluded(subject, asked, [one.variant for one in found], gathered.bad),
        settle=settling.of_ties(by_name[choice.variant], [by_name[one.variant] for one in ties],
                                weighed.comparison.better(choice, ties[0]), choice, subject, places)
        if choice and ties else "", waited=quantities.waited([one for candidate in found for seen in candidate.observed
                                                              for one in seen]))
    return msgspec.structs.replace(verdict, text=text.sentences(verdict, budget))


@dataclass(frozen=True)
class _Weighed:
    """Candidates, what the budget says of each, and what tells one from another."""

    found: Sequence[Known]
    judged: dict[str, list[Judged]]
    comparison: Comparison

    def fit(self, one: Known) -> str:
        return judging.fit(self.judged[one.variant])

    @property
    def _fitting(self) -> list[Known]:
        """Those that fit, and whose number of the objective is known; eager fits without it."""
        return [one for one in self.found if self.fit(one) == "fits"
                and (one.variant == EAGER or self.comparison.rank(one) is not None)]

    def in_order(self) -> list[Known]:
        """The best by the safe end of the objective first."""
        return sorted(self.found, key=lambda one: (*(-number for number in self._rank(one)), one.variant))

    def _rank(self, one: Known) -> tuple[float, float]:
        return self.comparison.rank(one) or (-float("inf"), -float("inf"))

    def choice(self) -> Known | None:
        """Of those that fit: eager unless another is provably better; of these the best by its safe end."""
        fitting = self._fitting
        eager = next((one for one in fitting if one.variant == EAGER), None)
        pool = [one for one in fitting if self.comparison.provably(one, eager)] if eager else fitting
        if not pool:
            return eager
        return min(self._unbeaten(pool) or pool, key=lambda one: (*(-end for end in self._rank(one)), one.variant))

    def _unbeaten(self, pool: Sequence[Known]) -> list[Known]:
        return [one for one in pool if not any(self.comparison.provably(other, one) for other in pool)]

    def ties(self, choice: Known) -> list[Known]:
        """Those that fit and cannot be told apart from the choice, the best first; what another one beats is none."""
        tied = [one for one in self._unbeaten(self._fitting)
                if one is not choice and self.comparison.tied(one, choice)]
        return sorted(tied, key=lambda one: (*(-end for end in self._rank(one)), one.variant))

    def unjudged(self, choice: Known | None) -> list[Known]:
        """Those that may fit and may be better than the choice."""
        return [one for one in self.in_order() if one.variant != EAGER or choice is None
                if self._open(one) and (choice is None or not self.comparison.provably(choice, one))]

    def _open(self, one: Known) -> bool:
        fit = self.fit(one)
        return fit in ("may fit", "unknown") or (fit == "fits" and self.comparison.rank(one) is None)

    def nearest_miss(self, choice: Known | None) -> Miss | None:
        """What does not fit by the least, of those that are provably better than the choice."""
        missed = [one for one in self.found if self.fit(one) == "does not"
                  and (choice is None or self.comparison.provably(one, choice))]
        if not missed:
            return None
        one = min(missed, key=lambda one: (judging.overshoot(self.judged[one.variant]),
                                           *(-end for end in self._rank(one)), one.variant))
        return Miss(variant=one.variant, better=self.comparison.better(one, choice) if choice else None,
                    over=[limit for limit in self.judged[one.variant] if limit.fit != "fits"])

    def why(self, choice: Known | None) -> str:
        if not self.found:
            return "nothing was measured that can be used"
        if choice is None:
            return "no variant is known to fit the budget" if self.unjudged(None) else "no variant fits the budget"
        if choice.variant == EAGER:
            others = len(self._fitting) > 1
            return "no variant that fits is provably better than eager" if others else "only eager fits"
        return "provably better than eager" if any(one.variant == EAGER for one in self._fitting) \
            else "eager does not fit"


def _candidate(one: Known, weighed: _Weighed, choice: Known | None, ties: Sequence[Known], on_front: bool,
               settle: str) -> Candidate:
    fit = weighed.fit(one)
    status = "chosen" if one is choice else "tied" if one in ties else fit
    eager = next((other for other in weighed.found if other.variant == EAGER), None)
    numbers = {name: value for name, value in vars(one).items() if name != "observed"}
    return Candidate(**numbers, status=status, fit=fit, judged=weighed.judged[one.variant], front=on_front,
                     better=weighed.comparison.better(one, eager) if eager else None, settle=settle)
