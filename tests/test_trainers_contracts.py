"""No trainer without the contract: each one is found, and so is the test class that holds it to it."""

import importlib
import inspect
import pkgutil
import re
from dataclasses import is_dataclass
from pathlib import Path

import embedding_assets.trainers

TESTS = Path(__file__).parent
SUBCLASS = re.compile(r"^class \w+\(TrainerContract\):\n(?:    .*\n|\n)*?    trainer = (\w+)\(", re.MULTILINE)


def trainers() -> set[str]:
    """Names of the dataclasses with `fit` in the trainers' modules."""
    found = set()
    for module in pkgutil.iter_modules(embedding_assets.trainers.__path__, "embedding_assets.trainers."):
        loaded = importlib.import_module(module.name)
        found |= {
            name
            for name, value in vars(loaded).items()
            if inspect.isclass(value) and is_dataclass(value) and callable(getattr(value, "fit", None))
        }
    return found


def test_every_trainer_is_held_to_the_contract():
    held = {name for path in TESTS.glob("test_trainers_*.py") for name in SUBCLASS.findall(path.read_text())}
    assert "Sgns" in trainers()
    assert trainers() <= held, f"without a contract: {sorted(trainers() - held)}; subclass contracts.TrainerContract"
