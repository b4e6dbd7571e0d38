"""``python -m al_core``, see :mod:`al_core.cli.main`."""

from al_core.cli.main import main

if __name__ == "__main__":
    main(prog_name="python -m al_core")
