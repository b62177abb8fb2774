"""Simulated noise of same-code processes, for `simulate`. Everything is a log of seconds; 0.01 is 1 %."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from eagerbench.gate.judge import THRESHOLDS, pairs_to_confirm

BENCHES = 24
SCREEN = THRESHOLDS.screen_pairs
CONFIRM = pairs_to_confirm(BENCHES + 1)  # the most that any number of suspects asks for
NULL = 4  # pairs of base against base in each stage
ROUNDS = 10  # of one process, where a rule looks at rounds
PROCESSES = 10  # a side, for rules that look at processes one after the other
_ROUND_SPREAD = 0.02


@dataclass(frozen=True)
class Noise:
    """How noisy the machine is.

    Attributes:
        spread: standard deviation of a pair's log ratio in a duet, in every model; drift, bursts and bias come on top.
        machine: standard deviation of the machine's own state between processes that run one after the other. A duet's
            two sides share it.
    """

    spread: float = 0.01
    machine: float = 0.02


@dataclass
class Draws:
    """Same-code measurements of `suites` suites. Arrays are (suites, benches, …).

    Attributes:
        screen, confirm, null_screen, null_confirm: log ratios of the pairs.
        control_screen, control_confirm: the same of two benchmarks without code of the project.
        base, head: log medians of processes that ran one after the other, all of base first.
        base_rounds, head_rounds: log rounds of the first two of those processes.
    """

    screen: np.ndarray
    confirm: np.ndarray
    null_screen: np.ndarray
    null_confirm: np.ndarray
    control_screen: np.ndarray
    control_confirm: np.ndarray
    base: np.ndarray
    head: np.ndarray
    base_rounds: np.ndarray
    head_rounds: np.ndarray


Model = Callable[[np.random.Generator, tuple[int, ...], Noise], np.ndarray]


def draw(model: str, rng: np.random.Generator, suites: int, noise: Noise) -> Draws:
    """Measurements of the same code under one of MODELS."""
    pairs, bias_model = MODELS[model]
    bias = bias_model(rng, (suites, BENCHES, 2), noise)  # of the head side, on the machines that screen and confirm

    def arm(count: int, benches: int = BENCHES) -> np.ndarray:
        return pairs(rng, (suites, benches, count), noise)

    base = _alone(model, rng, suites, noise, late=0.0)
    head = _alone(model, rng, suites, noise, late=1.0) + bias[..., :1]
    return Draws(
        screen=arm(SCREEN) + bias[..., :1], confirm=arm(CONFIRM) + bias[..., 1:],
        null_screen=arm(NULL), null_confirm=arm(NULL), control_screen=arm(SCREEN, 2), control_confirm=arm(CONFIRM, 2),
        base=base, head=head, base_rounds=_rounds(model, rng, base), head_rounds=_rounds(model, rng, head))


def _rounds(model: str, rng: np.random.Generator, levels: np.ndarray) -> np.ndarray:
    """Log rounds of the first two processes, pooled."""
    rounds = levels[..., :2, None] + rng.normal(0, _ROUND_SPREAD, (*levels.shape[:-1], 2, ROUNDS))
    if model == "slow rounds":
        rounds += (rng.random(rounds.shape) < 0.05) * rng.exponential(0.2, rounds.shape)
    return rounds.reshape(*levels.shape[:-1], -1)


def _alone(model: str, rng: np.random.Generator, suites: int, noise: Noise, late: float) -> np.ndarray:
    """Log medians of processes one after the other, where `late` is 1 for those that run second."""
    shape = (suites, BENCHES, PROCESSES)
    levels = rng.normal(0, np.hypot(noise.machine, noise.spread / np.sqrt(2)), shape)
    if model == "slow rounds":
        levels += _slow(rng, shape, noise.spread)
    elif model == "bimodal processes":
        levels += _mode(rng, shape, noise.spread)
    elif model == "drift":
        levels += _DRIFT * (late + np.arange(PROCESSES) / PROCESSES) / 2
    elif model == "bursts":
        levels += (rng.random(shape) < 2 * _BURSTS) * rng.exponential(_BURST, shape)
    return levels


_DRIFT = 0.05  # that the machine becomes slower by, over the whole measurement
_TURNS = 12
_BURSTS, _BURST = 0.1, 0.05  # share of pairs with a burst on the head side, and its mean; as many on both sides


def _gaussian(rng: np.random.Generator, shape: tuple[int, ...], noise: Noise) -> np.ndarray:
    return rng.normal(0, noise.spread, shape)


def _slow_rounds(rng: np.random.Generator, shape: tuple[int, ...], noise: Noise) -> np.ndarray:
    slow = _slow(rng, shape, noise.spread) - _slow(rng, shape, noise.spread)
    return rng.normal(0, np.sqrt(0.5) * noise.spread, shape) + slow


def _slow(rng: np.random.Generator, shape: tuple[int, ...], spread: float) -> np.ndarray:
    """What slow rounds add to the median of one process in ten: half of the variance of a pair."""
    return (rng.random(shape) < 0.1) * rng.exponential(spread * np.sqrt(0.25 / (0.1 * 2 - 0.1**2)), shape)


def _bimodal(rng: np.random.Generator, shape: tuple[int, ...], noise: Noise) -> np.ndarray:
    modes = _mode(rng, shape, noise.spread) - _mode(rng, shape, noise.spread)
    return rng.normal(0, np.sqrt(0.1) * noise.spread, shape) + modes


def _mode(rng: np.random.Generator, shape: tuple[int, ...], spread: float) -> np.ndarray:
    """Three processes in ten are in the slow mode: nine tenths of the variance of a pair."""
    return (rng.random(shape) < 0.3) * spread * np.sqrt(0.45 / (0.3 * 0.7))


def _drift(rng: np.random.Generator, shape: tuple[int, ...], noise: Noise) -> np.ndarray:
    """Inside a pair, the order of each turn is random: what a turn drifts by is left, over the root of the turns."""
    left = _DRIFT / shape[-1] / _TURNS / np.sqrt(_TURNS)
    return _gaussian(rng, shape, noise) + rng.normal(0, left, shape)


def _bursts(rng: np.random.Generator, shape: tuple[int, ...], noise: Noise) -> np.ndarray:
    """Bursts that hit only head, and bursts that hit both sides by nearly the same."""
    one_side = (rng.random(shape) < _BURSTS) * rng.exponential(_BURST, shape)
    both = (rng.random(shape) < _BURSTS) * rng.normal(0, 0.2 * _BURST, shape)
    return _gaussian(rng, shape, noise) + one_side + both


def _no_bias(rng: np.random.Generator, shape: tuple[int, ...], noise: Noise) -> np.ndarray:
    return np.zeros(shape)


def _bias(rng: np.random.Generator, shape: tuple[int, ...], noise: Noise) -> np.ndarray:
    """Code layout: a bias of the head side that stays as long as the machine does."""
    return np.broadcast_to(rng.normal(0, noise.spread / 2, (*shape[:-1], 1)), shape)


def _bias_of_each_machine(rng: np.random.Generator, shape: tuple[int, ...], noise: Noise) -> np.ndarray:
    return rng.normal(0, noise.spread / 2, shape)


MODELS: dict[str, tuple[Model, Model]] = {
    "Gaussian": (_gaussian, _no_bias),
    "slow rounds": (_slow_rounds, _no_bias),
    "bimodal processes": (_bimodal, _no_bias),
    "drift": (_drift, _no_bias),
    "bursts": (_bursts, _no_bias),
    "side bias": (_gaussian, _bias),
    "side bias, confirmed on a fresh machine": (_gaussian, _bias_of_each_machine),
}
