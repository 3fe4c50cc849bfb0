"""`python -m recurra`, also under torchrun: the command line."""

from __future__ import annotations

from recurra.cli.main import run

if __name__ == "__main__":
    run()
