"""`python -m lungscan.commands`: the command line, in the form that `torchrun -m` starts."""

from lungscan.commands import main

main()
