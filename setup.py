"""What pyproject.toml cannot say of a build; all else is there."""

import shutil

from setuptools import setup
from setuptools.command.build import build


class FromNothing(build):
    """setuptools packs whatever an earlier build left: modules that were deleted since, too."""

    def run(self) -> None:
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


setup(cmdclass={"build": FromNothing})
