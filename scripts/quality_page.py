"""Writes the tables of docs/quality.md anew from the saved files that it names: `python scripts/quality_page.py`.

A table stands between `<!-- table: FILE WORKLOAD -->` and `<!-- end -->`; WORKLOAD is the beginning of a workload's id.
"""

import re
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "quality.md"
_TABLE = re.compile(r"(<!-- table: (\S+) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(file: str, workload: str) -> str:
    """Markdown of one table of the quality experiment, with the machine that it is from."""
    from eagerbench.experiments import EXPERIMENTS
    from eagerbench.results import grid, records
    from eagerbench.results.decode import decode

    content = records.read(ROOT / file)
    found = [decode(bench["extra_info"]) for bench in content["benchmarks"] if records.is_ours(bench)]
    chosen = [record for record in found if record.identity.experiment == "quality"
              and record.identity.workload.startswith(workload)]
    made, = EXPERIMENTS["quality"].tables(chosen[0].identity.model, chosen)
    machine, packages = content["machine_info"], content["machine_info"]["packages"]
    where = (f" Measured on {content['datetime'][:10]}, {machine['cpu']['brand_raw']}, "
             f"{machine['usable_cores']} cores, torch {packages['torch']}, transformers {packages['transformers']}.")
    return grid.as_markdown([replace(made, note=made.note + where)])


def written(text: str) -> str:
    """The page with its tables."""
    return _TABLE.sub(lambda found: f"{found[1]}{table(found[2], found[3])}{found[4]}", text)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
