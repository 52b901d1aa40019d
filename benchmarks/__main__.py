"""`python -m benchmarks [CASE ...]`: run the cases (all, if none is named), one line of JSON each."""

import argparse
import subprocess
import sys

from benchmarks.cases import CASES


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {', '.join(CASES)}")
    parser.add_argument("--leads", type=int, default=1_000_000, help="leads of the large cases")
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}; there are: {', '.join(CASES)}")
    failed = 0
    for name in options.cases or CASES:
        # A process a case: its peak memory and its caches are its own.
        done = subprocess.run([sys.executable, "-m", "benchmarks.cases", name, str(options.leads)], check=False)
        failed |= done.returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
