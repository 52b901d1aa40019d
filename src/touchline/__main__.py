"""`python -m touchline` is the same command line as `touchline`."""

from touchline.cli import main

main()
