"""`eagerbench gate`: judge the pairs of a duet, or judge a saved verdict again."""

import argparse
import re
from pathlib import Path
from statistics import median
from typing import Any

from eagerbench.gate import duet_gate, duet_quality, judge, noise_floor, pairs
from eagerbench.gate.comparison_report import floor_differences, interval, lists, noted
from eagerbench.jsonfile import read_object, refuse, write, write_text
from eagerbench.results import spent
from eagerbench.results.grid import Grid, Row, as_markdown, show
from eagerbench.shown import count, say

_HEADER = ["benchmark", "verdict", "head / base", "95 % interval", "pairs", "floor", "p", "could show", "base / base",
           "reason"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = ("eagerbench gate [options] DUET.json …\n"
                    "       eagerbench gate --base REV|DIR [options] [-- pytest selection …]\n"
                    "       eagerbench gate --base-model MODEL --head-model MODEL [options] [-- pytest selection …]")
    parser.add_argument("files", nargs="*", metavar="DUET.json",
                        help="the screening and confirming duets of two commits, or one verdict.json to judge again")
    duet_gate.add_arguments(parser)
    parser.add_argument("--strict", action="store_true", help="exit 3 when inconclusive")
    parser.add_argument("--noise-floor", type=Path, metavar="FILE", help="noise floor that `calibrate` wrote; a "
                        "benchmark without an entry is reported, not gated")
    parser.add_argument("--verdict", type=Path, metavar="FILE",
                        help="write the verdict with all data that it follows from")
    parser.add_argument("--summary-md", type=Path, metavar="FILE", help="also write the summary as Markdown")
    parser.add_argument("--html", type=Path, metavar="FILE",
                        help="also write it as an HTML page, with a plot of every pair")


def run(chosen: argparse.Namespace) -> int:
    measured = duet_gate.measures(chosen)
    if not measured:
        files = [Path(file) for file in chosen.files]
        refuse("gate", [] if files else ["give files of duets to judge, or --base to measure first"])
    else:
        chosen.selection = chosen.files
        try:
            files = duet_gate.measure(chosen)
        except duet_gate.NotMeasured as reason:
            say(reason, error=True)
            return reason.exit_code
    duets, floors, stored = _inputs(files)
    if chosen.noise_floor:
        floors = noise_floor.read(chosen.noise_floor)
    strict = chosen.strict or bool(stored and stored["strict"])
    verdict = judge.judge(duets, floors, strict)
    if chosen.verdict:
        write(chosen.verdict, verdict)
    grids = tables(verdict)
    if chosen.summary_md:
        write_text(chosen.summary_md, as_markdown(grids))
    show(grids, markdown=False)
    if chosen.html:
        from eagerbench.gate import gate_html

        write_text(chosen.html, gate_html.page(verdict, grids, _ORDER))
    for file in filter(None, (chosen.verdict, chosen.summary_md, chosen.html)):
        say(f"wrote {file}")
    if stored is not None:
        same = {**verdict, "versions": 0} == {**stored, "versions": 0}
        say("Judged again: the same verdict, number for number." if same else
            f"Judged again: not what {files[0]} says (judge {stored.get('versions')}).")
    if not measured:
        return verdict["exit_code"]
    return duet_gate.exit_code(verdict, chosen.lenient, chosen.stage)


def _inputs(files: list[Path]) -> tuple[list[pairs.Duet], dict[str, Any] | None, dict[str, Any] | None]:
    """Duets, noise floor and stored verdict in the files named."""
    contents = [read_object(file) for file in files]
    if contents[0].get("format") == judge.FORMAT:
        stored, file = contents[0], files[0]
        duets = stored.get("duets")
        refuse(file, ["a verdict is judged again alone"] if len(files) > 1 else [])
        refuse(file, [] if isinstance(duets, list) and duets else ["no duets in this verdict"])
        refuse(file, [] if isinstance(stored.get("strict"), bool) else ["it does not say whether it was strict"])
        contents, files, floors = duets, [file] * len(duets), stored.get("noise_floor")
        if floors is not None:
            noise_floor.check(file, floors)
    else:
        stored = floors = None
    for file, content in zip(files, contents, strict=True):
        pairs.check(file, content)
    pairs.together(files, contents)
    return contents, floors, stored


def tables(verdict: dict[str, Any]) -> list[Grid]:
    """The verdict as tables: benchmarks, controls, and what else a reader must know."""
    rows = [_row(entry) for entry in sorted(verdict["benchmarks"], key=lambda entry: _ORDER.index(entry["status"]))]
    title = f"Gate (tier 1, duet): {verdict['outcome']}"
    return [Grid(title, _HEADER, rows, summary(verdict)), *_arms(verdict), *floor_differences(verdict), *noted(verdict),
            *lists(verdict), *_lost(verdict),
            *spent.of_pairs([pair for duet in verdict["duets"] for pair in duet["pairs"]])]


_ORDER = ["REGRESSED", "SUSPECT", "CONTAMINATED", "INCONCLUSIVE", "IMPROVED", "OK", "UNKNOWN"]


def _row(entry: dict[str, Any]) -> Row:
    floor = "–" if entry["floor"] is None else f"{entry['floor']:.0%}"
    if "ratio" not in entry:
        return [entry["id"], entry["status"], "–", "–", "–", floor, "–", "–", "–", entry["reason"]]
    p = "–" if entry["p_adjusted"] is None else f"{entry['p_adjusted']:.2g}"
    shown = "–" if entry["could_show"] is None else f"{entry['could_show'] - 1:.1%}"
    null = "–" if entry["null_ratio"] is None else f"{entry['null_ratio']:.4f}"
    return [entry["id"], entry["status"], f"{entry['ratio']:.4f}", interval(entry), f"{entry['pairs']}", floor, p,
            shown, null, _reason(entry)]


def _reason(entry: dict[str, Any]) -> str:
    if entry["reason"] != judge.UNSETTLED:
        return entry["reason"]
    wanted = entry["pairs_to_settle"]
    more = f"about {wanted} pairs would" if wanted else f"more than {judge.MOST_PAIRS} pairs would be needed"
    return f"{entry['reason']}; {more}"


def summary(verdict: dict[str, Any]) -> str:
    """What was found, and how small a slowdown could have been found."""
    lines = [_found(verdict)]
    shown = [entry["could_show"] for entry in verdict["benchmarks"] if entry.get("could_show")]
    if shown:
        lines.append(f"These pairs would nearly always show a slowdown of {max(shown) - 1:.1%} in every benchmark they "
                     f"are enough for, of {median(shown) - 1:.1%} in half of them; a smaller one may stay unseen.")
    blind = sum(entry["floor"] is not None and entry.get("could_show", 0) is None for entry in verdict["benchmarks"])
    if blind:
        lines.append(f"{blind} benchmarks have too few pairs to show anything.")
    if any(duet["design"] == "abba" for duet in verdict["duets"]):
        lines.append("Whole processes alternated (abba): this detects less than turns.")
    lines.append(_compared(verdict["duets"][0]))
    for duet in verdict["duets"]:
        lines += duet_quality.lines(duet.get("quality", []))
    if verdict["next"]:
        names = ", ".join(verdict["next"]["benchmarks"])
        lines.append(f"Next: {verdict['next']['pairs']} fresh pairs (--stage confirm) of {names}.")
    return " ".join(lines)


def _compared(duet: dict[str, Any]) -> str:
    """Whose sides these are: models, or states of a repository."""
    base, head = (duet[side].get("model") or _short(duet[side]["revision"]) for side in ("base", "head"))
    by = f"; measured by eagerbench {duet['suite']['version']}" if "suite" in duet else ""
    return f"Base: {base}, head: {head}{by}."


def _short(revision: str) -> str:
    """`0123456789ab`, of a directory `0123456789ab with changes`; what is no commit as it is."""
    commit = re.fullmatch(r"([0-9a-f]{12})[0-9a-f]{28,52}(-dirty-[0-9a-f]+)?", revision)
    return f"{commit[1]}{' with changes' if commit[2] else ''}" if commit else revision


def _found(verdict: dict[str, Any]) -> str:
    by_status = {status: [entry for entry in verdict["benchmarks"] if entry["status"] == status] for status in _ORDER}
    if by_status["REGRESSED"]:
        return "Slower: " + "; ".join(
            f"{entry['id']} by {entry['ratio'] - 1:.1%} (95 %: {entry['low'] - 1:.1%} to {entry['high'] - 1:.1%}, "
            f"adjusted p {entry['p_adjusted']:.2g})" for entry in by_status["REGRESSED"]) + "."
    if verdict["broken"] or verdict["vanished"]:
        return "Head lacks results that base has: " + "; ".join(
            [f"{bench}: {verdict['failed'].get(bench, 'failed')}" for bench in verdict["broken"]]
            + [f"{bench}: vanished" for bench in verdict["vanished"]]) + "."
    reasons = list(dict.fromkeys(line for stage in verdict["stages"].values() for line in stage["contaminated"]))
    if reasons:
        return f"This measurement cannot be trusted: {'; '.join(reasons)}."
    if not verdict["benchmarks"]:
        why = "every benchmark changed" if verdict["changed"] else "there is no valid pair"
        return f"Nothing could be compared: {why}."
    counts = ", ".join(f"{len(entries)} {status.lower()}" for status, entries in by_status.items() if entries)
    return f"No slowdown was confirmed: {counts}."


def _arms(verdict: dict[str, Any]) -> list[Grid]:
    rows = []
    for name, stage in verdict["stages"].items():
        rows += [[name, control, f"{moved['ratio']:.4f}", interval(moved)]
                 for control, moved in stage["controls"].items()]
        if stage["null_ratio"] is not None:
            pairs = count(stage["null_pairs"], "pair")
            rows.append([name, f"base against base, {pairs}", f"{stage['null_ratio']:.4f}", "–"])
    limits = verdict["thresholds"]
    note = (f"1 is what they should be. Contaminated: a control more than {limits['control']:.0%} off whose interval "
            f"leaves 1 out, or base against base more than {limits['null']:.0%} off.")
    missing = [f"{name}: {', '.join(stage['missing'])}" for name, stage in verdict["stages"].items()
               if stage["missing"]]
    lacking = f" Missing, so that nothing can be red: {'; '.join(missing)}." if missing else ""
    return [Grid("Control and null arm", ["stage", "what", "ratio", "95 % interval"], rows, f"{note}{lacking}")]


def _lost(verdict: dict[str, Any]) -> list[Grid]:
    lost = verdict["lost_pairs"]
    return [Grid("Pairs that do not count", ["pair and reason"], [[line] for line in lost])] if lost else []
