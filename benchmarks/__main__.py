"""`python -m benchmarks [CASE ...]`: run the cases (all, if none is named), one line of JSON each."""

import argparse
import subprocess
import sys

from benchmarks import api, cases, pages, scaling, search

MODULES = {name: module.__name__ for module in (cases, scaling, search, api, pages) for name in module.CASES}


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {', '.join(MODULES)}")
    parser.add_argument("--leads", type=int, default=1_000_000, help="leads of the large cases")
    options = parser.parse_args()
    unknown = set(options.cases) - set(MODULES)
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}; there are: {', '.join(MODULES)}")
    failed = 0
    for name in options.cases or MODULES:
        # A process a case: its peak memory and its caches are its own.
        done = subprocess.run([sys.executable, "-m", MODULES[name], name, str(options.leads)], check=False)
        failed |= done.returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
