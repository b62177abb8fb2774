"""The record that a package is of: found in saved files, without torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from eagerbench.case import DEFAULT
from eagerbench.packaging.manifest import Measured
from eagerbench.results import fingerprint, records
from eagerbench.results.decode import decode
from eagerbench.results.record import AgainstEager, Record
from eagerbench.shown import count


@dataclass(frozen=True)
class Seen:
    """A record of the variant with its median call, in seconds, and what the file says of the machine."""

    record: Record
    median_s: float
    machine_info: Mapping[str, Any]
    when: str

    @property
    def shape(self) -> tuple[int, int]:
        """(batch size, sequence length)."""
        return self.record.workload.batch_size, self.record.workload.sequence_length

    @property
    def wait_policy(self) -> str:
        return str(self.machine_info.get("wait_policy") or "")

    @property
    def machine(self) -> str:
        """`AMD EPYC 9B14, 2 threads`."""
        found = fingerprint.of(self.machine_info)
        return f"{found.get('CPU', 'an unknown processor')}, {count(self.record.identity.threads, 'thread')}"


def seen(files: Iterable[Path], model: str, variant: str) -> list[Seen]:
    """Latency records of a variant on the CPU whose times can be used, the largest workload first.

    Raises:
        UnreadableFile: a file is missing, or none.
    """
    found = []
    for file in files:
        content = records.read(file)
        for bench in records.sound(content)[0]:
            record = decode(bench["extra_info"])
            who = record.identity
            if (who.model, who.variant, who.experiment, who.device) == (model, variant, DEFAULT, "cpu") \
                    and record.conditions.usable:
                stats = bench["stats"]
                found.append(Seen(record, float(median(stats.get("data") or [stats["median"]])),
                                  content.get("machine_info") or {}, str(content.get("datetime") or "")))
    return sorted(found, key=lambda one: (-one.shape[0] * one.shape[1], one.when))


def part(found: Seen, same_inputs: bool) -> Measured:
    """As the manifest has it; `same_inputs` tells whether the shipped inputs are those that were timed."""
    who, timing = found.record.identity, found.record.timing
    paired = isinstance(timing, AgainstEager)
    return Measured(
        bench_id=who.bench_id, workload="{} × {}".format(*found.shape), median_s=found.median_s,
        speedup_vs_eager=timing.speedup_vs_eager if paired else None,
        speedup_low=timing.speedup_low if paired else None, speedup_high=timing.speedup_high if paired else None,
        machine=found.machine, when=found.when, same_inputs=same_inputs)
