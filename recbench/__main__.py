"""``python -m recbench``, also under ``torchrun -m``."""

from recbench.cli import main

if __name__ == "__main__":
    main()
