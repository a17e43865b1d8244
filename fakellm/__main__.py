"""Runs ``python -m fakellm``, the same as the command ``fakellm``; it must hold nothing else."""

from fakellm.cli import main

if __name__ == "__main__":
    main()
