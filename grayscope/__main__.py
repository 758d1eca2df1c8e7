"""Main: ``python -m grayscope``."""

from grayscope.cli import main

if __name__ == "__main__":
    main()
