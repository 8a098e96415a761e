"""No trainer without the contract: each one is found, and so is the test class that holds it to it."""

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path

import pytest
from contracts import TrainerContract, digest, trained

import embedding_assets.trainers
from embedding_assets.records import Trainer

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def held() -> list[Trainer]:
    """The trainers, with their settings, of all subclasses of the contract."""
    for path in sorted(TESTS.glob("test_trainers_*.py")):
        if path != Path(__file__) and "(TrainerContract)" in path.read_text():
            importlib.import_module(path.stem)
    return list(dict.fromkeys(subclass.trainer for subclass in TrainerContract.__subclasses__()))


def trainers() -> set[type]:
    """The dataclasses with `fit` in the trainers' modules."""
    found = set()
    for module in pkgutil.iter_modules(embedding_assets.trainers.__path__, "embedding_assets.trainers."):
        loaded = importlib.import_module(module.name)
        found |= {
            value
            for value in vars(loaded).values()
            if inspect.isclass(value) and is_dataclass(value) and callable(getattr(value, "fit", None))
        }
    return found


def test_every_trainer_is_held_to_the_contract(held):
    assert "Sgns" in {trainer.__name__ for trainer in trainers()}
    lacking = sorted(trainer.__name__ for trainer in trainers() - {type(trainer) for trainer in held})
    assert not lacking, f"without a contract: {lacking}; subclass contracts.TrainerContract"


def test_same_seed_same_bytes_in_another_process(held):
    """One process for all of them: what takes long is starting it."""
    imports = sorted({f"from {type(trainer).__module__} import {type(trainer).__name__}" for trainer in held})
    fits = [f"print(digest({trainer!r}.fit(planted_table())))" for trainer in held]
    code = "\n".join([*imports, "from contracts import digest, planted_table", *fits])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    printed = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert dict(zip(held, printed.stdout.split(), strict=True)) == {one: digest(trained(one)) for one in held}
