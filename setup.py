"""What pyproject.toml cannot say: the package holds the page's script, with its settings."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WITH_THE_PACKAGE = ("streamlit_app.py", ".streamlit/config.toml")


class BuildWithSettings(build_py):
    """``al-desk`` finds both in the package, or here where that is installed in place: see
    al_desk/command.py."""

    def run(self) -> None:
        super().run()
        for name in () if self.editable_mode else WITH_THE_PACKAGE:
            target = Path(self.build_lib, "al_desk", name)
            self.mkpath(str(target.parent))
            self.copy_file(name, str(target))


setup(cmdclass={"build_py": BuildWithSettings})
