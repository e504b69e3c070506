"""``python -m recbench``, also under ``accelerate launch -m``."""

from recbench.cli import main

if __name__ == "__main__":
    main()
