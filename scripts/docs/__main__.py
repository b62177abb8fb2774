"""Make the generated parts of README and docs: `python -m scripts.docs`; `--check` only names what is out of date."""

import argparse
import sys

from scripts.docs import pages


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when something is out of date")
    chosen = parser.parse_args()
    changed = pages.out_of_date()
    for file, text in changed.items():
        if not chosen.check:
            file.write_text(text, encoding="utf-8")
        print(f"{'out of date' if chosen.check else 'made'}: {file.relative_to(pages.ROOT)}")
    return int(chosen.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
