"""IOPaint's own command line, on machines whose torch build has no matching torchvision.

IOPaint's server imports torchvision for its segmentation plugins, at start, whether they are used or not. Inpainting
never touches it. Runs in the rival's own environment, which has nothing of this project.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

# They ask whether torchvision is installed; the honest answer is no.
import accelerate  # noqa: F401
import diffusers  # noqa: F401
import transformers  # noqa: F401


class Absent(ModuleType):
    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        is_package = name.split(".", maxsplit=1)[0] == "torchvision"
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if is_package else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []


sys.meta_path.insert(0, Finder())

from iopaint import entry_point  # noqa: E402

entry_point()
