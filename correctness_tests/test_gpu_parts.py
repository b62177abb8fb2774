"""What looks at a GPU, with made events, a made NVML and a made allocator: the code is what runs on CUDA."""

import itertools
import types

import msgspec
import pytest
from made_records import made

from eagerbench.machine import facts as machine
from eagerbench.machine import gpu_facts
from eagerbench.machine.device_clock import DeviceClock
from eagerbench.machine.gpu_facts import FIELDS, GpuFacts
from eagerbench.measuring.gpu_memory import GpuMemory
from eagerbench.measuring.gpu_observer import GpuObserver, observer
from eagerbench.measuring.turns import Schedule, Turns
from eagerbench.results.decode import BadRecord, decode
from eagerbench.results.record import to_json

LOADED = {"sm_mhz": 1980, "memory_mhz": 2619, "power_w": 612.5, "temperature_c": 54, "throttle": "power cap"}


class Event:
    """Counts milliseconds: each record is one later than the last."""

    clock = itertools.count()

    def record(self, stream):
        assert stream == "the stream"
        self.at = next(self.clock)

    def elapsed_time(self, other):
        return other.at - self.at


def made_clock():
    return DeviceClock("cuda:0", Event, lambda: "the stream")


class Refused(Exception):
    """As NVMLError."""


def made_nvml(bits=0x4, **changed):
    def reading(name, value):
        def ask(handle, *_):
            assert handle == "the handle"
            return value

        return {name: ask}

    functions = {
        "nvmlInit": lambda: None, "nvmlDeviceGetHandleByUUID": lambda uuid: {"GPU-1": "the handle"}[uuid],
        "nvmlSystemGetDriverVersion": lambda: b"580.1", "NVML_CLOCK_SM": 1, "NVML_CLOCK_MEM": 2,
        "NVML_TEMPERATURE_GPU": 0, "nvmlDeviceGetClockInfo": lambda handle, which: {1: 1980, 2: 2619}[which],
        **reading("nvmlDeviceGetPowerUsage", 612500), **reading("nvmlDeviceGetTemperature", 54),
        **reading("nvmlDeviceGetEnforcedPowerLimit", 700000), **reading("nvmlDeviceGetMaxClockInfo", 1980),
        **reading("nvmlDeviceGetCurrentClocksEventReasons", bits)}
    return types.SimpleNamespace(**{**functions, **changed})


def refuse(*_):
    raise Refused("Not Supported")


def test_the_device_clock_reads_between_its_marks():
    clock = made_clock()
    clock.start()
    clock.stop()
    assert clock.seconds() == pytest.approx(1e-3)


def test_facts_are_read():
    facts = GpuFacts("GPU-1", made_nvml())
    assert facts.read() == LOADED
    assert facts.static() == {"driver": "580.1", "power_limit_w": 700.0, "max_sm_mhz": 1980, "max_memory_mhz": 1980}
    assert GpuFacts("GPU-1", made_nvml(bits=0)).read()["throttle"] == "none"
    assert GpuFacts("GPU-1", made_nvml(bits=0x60)).read()["throttle"] == "software thermal, hardware thermal"


def test_an_older_nvml_has_the_older_name():
    nvml = made_nvml(nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: 0x8)
    del nvml.nvmlDeviceGetCurrentClocksEventReasons
    assert GpuFacts("GPU-1", nvml).read()["throttle"] == "hardware slowdown"


def test_one_fact_that_is_not_told_costs_that_fact():
    facts = GpuFacts("GPU-1", made_nvml(nvmlDeviceGetPowerUsage=refuse))
    assert facts.read() == {**LOADED, "power_w": None}


def test_without_nvml_all_is_null_with_the_reason(monkeypatch):
    failed = GpuFacts("GPU-1", made_nvml(nvmlInit=refuse))
    assert (failed.missing, failed.read()) == ("NVML: Not Supported", dict.fromkeys(FIELDS))
    monkeypatch.setattr(gpu_facts.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    absent = GpuFacts("GPU-1")
    assert "pip install nvidia-ml-py" in absent.missing
    assert (absent.read(), absent.static()) == (dict.fromkeys(FIELDS), {})


def test_turns_are_observed_outside_of_what_is_timed(workshops):
    """Real turns of real runners: each round of either side has a device time, each turn its clocks."""
    from eagerbench.backends.torch_runner import TorchRunner

    workshop = workshops("tiny-bert")
    runners = {side: TorchRunner(workshop.model.module) for side in ("variant", "reference")}
    native = runners["variant"].prepare(workshop.inputs(1, 4))
    seen = GpuObserver(runners, made_clock, GpuFacts("GPU-1", made_nvml()))
    turns = Turns(lambda: runners["variant"](native), lambda: runners["reference"](native),
                  Schedule(2, 3, 1.0), [seen])
    with seen.watching():
        for _ in range(6):
            turns.before_round()
            turns.variant()
            turns.after_round()
    assert all(runner.clock is None for runner in runners.values())
    found = seen.record()
    assert [len(turn) for turn in seen._turns["variant"]] == turns.variant_turns == [3, 3]
    assert [len(turn) for turn in seen._turns["reference"]] == turns.reference_turns
    assert found.device_s == found.reference_device_s == pytest.approx(1e-3)
    assert found.device_turns_s == pytest.approx([1e-3, 1e-3])
    assert found.gpu_sm_mhz == [1980] * 4  # a turn of the reference, one of the variant, and again
    assert found.gpu_throttle == ["power cap"] * 4
    assert found.gpu_facts_missing is found.device_s_missing is None


def test_a_runtime_of_its_own_has_no_device_times():
    seen = GpuObserver({"variant": object(), "reference": None}, made_clock, GpuFacts("GPU-1", made_nvml()))
    with seen.watching():
        seen.after_round("variant")
        seen.after_turn("variant", 0, 1)
    found = seen.record()
    assert found.device_s is None
    assert "through torch" in found.device_s_missing
    assert found.gpu_power_w == [612.5]


def test_what_was_seen_fits_the_record():
    seen = GpuObserver({"variant": None, "reference": None}, made_clock, GpuFacts("GPU-1", made_nvml(nvmlInit=refuse)))
    seen.after_turn("reference", 0, 1)
    record = to_json(made(device="cuda:0"))
    assert decode({**record, "gpu": msgspec.to_builtins(seen.record())}).gpu == seen.record()
    with pytest.raises(BadRecord, match="gpu_power_w"):
        decode({**record, "gpu": {"gpu_power_w": ["hot"]}})


def test_nothing_is_observed_on_the_cpu():
    assert observer("cpu", None, None) is None
    memory = GpuMemory("cpu")
    with memory.building():
        pass
    assert memory.peak(lambda: pytest.fail("called")) is None


class Cuda:
    """An allocator: `now` bytes allocated, and the most since the last reset."""

    def __init__(self):
        self.now, self.most = 1000, 5000

    def synchronize(self, device):
        pass

    def reset_peak_memory_stats(self, device):
        self.most = self.now

    def memory_allocated(self, device):
        return self.now

    def max_memory_allocated(self, device):
        return self.most

    def allocate(self, size):
        self.now += size
        self.most = max(self.most, self.now)


def test_gpu_memory_is_the_variants_own():
    """Weights of 400, made of 800, beside 1000 of the reference and 50 that came later; a call needs 300 or 700."""
    cuda = Cuda()
    memory = GpuMemory("cuda:0", cuda)
    with memory.building():
        cuda.allocate(800)
        cuda.allocate(-400)
    cuda.allocate(50)

    def call(size):
        cuda.allocate(size)
        cuda.allocate(-size)

    assert memory.peak(lambda: call(300)) == 800
    assert memory.peak(lambda: call(700)) == 1100


def test_the_peak_of_a_gpu_is_of_products_between_two_marks():
    torch = pytest.importorskip("torch")
    a, waited = torch.ones(2, 2), []
    seconds = machine._on_gpu(a, False, made_clock(), lambda: waited.append(1))()
    assert seconds == pytest.approx(1e-3 / machine._LAUNCHED)
    assert waited == [1]
