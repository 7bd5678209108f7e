"""python -m tradecap: the same as the command."""

from tradecap.cli import main

main()
