"""Reviewed settings: `<name>.tuned.json` beside an embedding's file, read while the spec is made.

A study proposes such a file; a person looks at its evidence and puts it beside the spec. Nothing else applies it.
"""

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_origin

from embedding_assets.reach import suggest
from embedding_assets.search_space import Value
from embedding_assets.spec import EmbeddingSpec, SpecError

#: Before the name of a setting of `Window.prune`; those of the trainer have no prefix.
PRUNE = "prune."


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """Settings that a study found, and what speaks for them.

    Attributes:
        embedding: name of the spec that they are for.
        trainer: the trainer's class name; its settings mean nothing to another.
        settings: name -> value, `learning_rate` or `prune.min_count`.
        evidence: for the reviewer: scores, weeks and trials; nothing reads it.
    """

    embedding: str
    trainer: str
    settings: Mapping[str, Value]
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> "Tuned":
        """What a file says; its settings are checked by `applied_to`.

        Raises:
            SpecError: it is not JSON, or has another form; the message names file and field.
        """
        try:
            document = json.loads(file.read_bytes())
        except ValueError as error:
            raise SpecError(f"{file} is not JSON: {error}") from error
        try:
            return cls._of(document)
        except SpecError as error:
            raise SpecError(f"{file}: {error}") from error

    @classmethod
    def _of(cls, document: Any) -> "Tuned":
        forms = {"embedding": str, "trainer": dict, "prune": dict, "evidence": dict}
        if not isinstance(document, dict):
            raise SpecError(f"the document must be an object, got {document!r:.80}")
        for name, value in document.items():
            if name not in forms:
                raise SpecError(f"unknown field {name!r}{suggest(name, forms)}")
            if not isinstance(value, forms[name]):
                raise SpecError(f"{name} must be {_said(forms[name])}, got {value!r:.80}")
        trainer = dict(document.get("trainer", {}))
        name = trainer.pop("name", None)
        if not isinstance(name, str) or "embedding" not in document:
            raise SpecError(f"embedding and trainer.name are needed, got {document.get('embedding')!r} and {name!r}")
        pruned = {f"{PRUNE}{setting}": value for setting, value in document.get("prune", {}).items()}
        evidence = document.get("evidence", {})
        return cls(embedding=document["embedding"], trainer=name, settings=trainer | pruned, evidence=evidence)

    def text(self) -> str:
        """The file's text; the same settings and evidence give the same bytes."""
        trainer, prune = split_settings(self.settings)
        document = {"embedding": self.embedding, "trainer": {"name": self.trainer, **trainer}}
        document |= {"prune": prune} if prune else {}
        return json.dumps({**document, "evidence": self.evidence}, indent=2, ensure_ascii=False) + "\n"

    def applied_to(self, spec: EmbeddingSpec) -> EmbeddingSpec:
        """`spec` with these settings in place of its own.

        Raises:
            SpecError: they are for another embedding or trainer, or a setting is unknown, mistyped or out of range.
        """
        trainer = type(spec.trainer).__name__
        for name, mine, wanted in (("embedding", self.embedding, spec.name), ("trainer.name", self.trainer, trainer)):
            if mine != wanted:
                raise SpecError(f"{name} is {mine!r}, but the spec's is {wanted!r}; tune {spec.name} again")
        return with_settings(spec, self.settings)


def tuned(spec: EmbeddingSpec, module: str) -> EmbeddingSpec:
    """`spec` with the settings of `<name>.tuned.json`, if that lies beside `module`, the spec's `__file__`.

    Raises:
        SpecError: the file has a wrong form or a wrong setting; the message names it and the field.
    """
    file = Path(module).with_name(f"{spec.name}.tuned.json")
    if not file.is_file():
        return spec
    found = Tuned.read(file)
    try:
        return found.applied_to(spec)
    except SpecError as error:
        raise SpecError(f"{file}: {error}") from error


def with_settings(spec: EmbeddingSpec, settings: Mapping[str, Value]) -> EmbeddingSpec:
    """`spec` with some settings of its trainer and its `prune` replaced.

    Raises:
        SpecError: a setting is unknown (close matches are named), mistyped or out of range.
    """
    known = kinds_of_settings(spec)
    for name, value in settings.items():
        if name not in known:
            raise SpecError(f"{_shown(name)} is no setting{suggest(_shown(name), map(_shown, known))}")
        if not _fits(value, known[name]):
            raise SpecError(f"{_shown(name)} must be {_said(known[name])}, got {value!r}")
    trainer, prune = split_settings(settings)
    own: Any = spec.trainer
    try:
        window = replace(spec.window, prune=replace(spec.window.prune, **prune))
        return replace(spec, trainer=replace(own, **trainer), window=window)
    except ValueError as error:
        raise SpecError(str(error)) from error


def kinds_of_settings(spec: EmbeddingSpec) -> dict[str, Any]:
    """Name of each setting that can be replaced -> its annotated type."""
    owners: dict[str, Any] = {"": spec.trainer, PRUNE: spec.window.prune}
    return {
        f"{prefix}{one.name}": typing.get_type_hints(type(owner))[one.name]
        for prefix, owner in owners.items()
        for one in fields(owner)
        if one.init
    }


def settings_now(spec: EmbeddingSpec) -> dict[str, Value]:
    """Every setting that can be replaced, with what the spec says."""
    return {
        name: getattr(spec.window.prune if name.startswith(PRUNE) else spec.trainer, name.removeprefix(PRUNE))
        for name in kinds_of_settings(spec)
    }


def split_settings(settings: Mapping[str, Value]) -> tuple[dict[str, Value], dict[str, Value]]:
    """Those of the trainer, and those of `Window.prune` without their prefix."""
    trainer = {name: value for name, value in settings.items() if not name.startswith(PRUNE)}
    return trainer, {name.removeprefix(PRUNE): settings[name] for name in settings if name not in trainer}


def _fits(value: object, kind: Any) -> bool:
    """Whether a JSON value is of an annotated type; True is no number here, but 2 is a float."""
    if get_origin(kind) in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in get_args(kind))
    if get_origin(kind) is typing.Literal:
        return any(type(value) is type(known) and value == known for known in get_args(kind))
    return type(value) in ((int, float) if kind is float else (kind,))


def _shown(name: str) -> str:
    """A setting as the file has it: `trainer.epochs`, `prune.min_count`."""
    return name if name.startswith(PRUNE) else f"trainer.{name}"


def _said(kind: Any) -> str:
    """A type as a message names it."""
    if get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join(_said(part) for part in get_args(kind))
    if get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(map(repr, get_args(kind)))
    return {str: "text", dict: "an object", types.NoneType: "null"}.get(kind, getattr(kind, "__name__", str(kind)))
