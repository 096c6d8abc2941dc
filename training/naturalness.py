"""NIQE and BRISQUE as their packages compute them: scikit-video's and brisque's.

Both packages are older than the numpy and scipy here, and brisque reads a pickle at start; what
stands in their way is replaced for them alone. scikit-video comes with the `training` extra and
brisque with `rivals`, since its libsvm needs a compiler.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickletools
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import scipy.io
import scipy.linalg
from numpy.typing import NDArray

Frame = NDArray[np.uint8]

PACKAGES = {"NIQE": "skvideo", "BRISQUE": "brisque"}


def installed(name: str) -> bool:
    """Whether the package that computes `name` (NIQE or BRISQUE) is there."""
    return importlib.util.find_spec(PACKAGES[name]) is not None


def niqe(frame: Frame) -> float:
    """NIQE of uint8[H,W,3], at least 194 pixels a side; higher is worse."""
    luma = np.rint(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32))
    return float(_niqe_module().niqe(luma[None])[0])


def brisque(frame: Frame) -> float:
    """BRISQUE of uint8[H,W,3]; higher is worse."""
    return float(_brisque().score(frame))


@cache
def _niqe_module() -> Any:
    module: Any = importlib.import_module("skvideo.measure.niqe")
    # It was written for numpy's old name of int and for a resize that scipy no longer has.
    module.np = SimpleNamespace(**vars(np), int=int)
    module.scipy = SimpleNamespace(
        misc=SimpleNamespace(imresize=_imresize), io=scipy.io, linalg=scipy.linalg
    )
    return module


def _imresize(image: NDArray[Any], size: float, interp: str, mode: str) -> NDArray[Any]:
    return cv2.resize(image, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)


@cache
def _brisque() -> Any:
    module: Any = importlib.import_module("brisque.brisque")
    models = Path(importlib.import_module("brisque.models").MODEL_PATH)

    class Brisque(module.BRISQUE):  # type: ignore[misc]
        def __init__(self) -> None:
            self.url = False
            self.model = module.svmutil.svm_load_model(str(models / "svm.txt"))
            self.scale_params = plain_pickle(models / "normalize.pickle")

        def scale_features(self, features: NDArray[Any]) -> Any:
            # Some features are arrays of one number, which numpy no longer takes for a number.
            numbers = np.array([np.asarray(f, np.float64).item() for f in features])
            return super().scale_features(numbers)

    return Brisque()


def plain_pickle(path: Path) -> dict[str, list[float]]:
    """The pickle of a dict of lists of floats, read without unpickling: nothing in it can run.

    Raises ValueError when the file holds anything else.
    """
    lists: dict[str, list[float]] = {}
    name = ""
    allowed = {"PROTO", "FRAME", "EMPTY_DICT", "MEMOIZE", "MARK", "EMPTY_LIST", "APPENDS"}
    allowed |= {"SETITEMS", "STOP"}
    for opcode, value, _ in pickletools.genops(path.read_bytes()):
        if opcode.name == "SHORT_BINUNICODE":
            name = str(value)
            lists[name] = []
        elif opcode.name == "BINFLOAT" and isinstance(value, float) and name:
            lists[name].append(value)
        elif opcode.name not in allowed:
            raise ValueError(f"{path} holds more than lists of numbers ({opcode.name})")
    return lists
