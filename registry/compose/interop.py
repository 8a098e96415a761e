"""A version put to use: vectors of bags, files for other programs, and a form for every library.

Row i of every layer is key i of the version; `rows` maps keys to these ids. Each library is loaded
by the first call that needs it. Sizes: N keys, D floats per vector.
"""

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from registry import layout
from registry.compose.bags import BagsLike
from registry.compose.composer import Composer, key_weights, read_composer
from registry.errors import InvalidQuery
from registry.extras import load_extra
from registry.records import Composed, ComposerSpec, ExportFormat, Manifest, MissingFeature
from registry.search.scan import Vectors

#: A last row, N, for keys without a vector: zeros, or the mean of all vectors; None adds no row.
UnknownRow = Literal["zero", "mean"] | None


class Interop(ABC):
    """What a `Version` offers beyond reading it; what it needs of the version is abstract."""

    @property
    @abstractmethod
    def reference(self) -> str:
        """The exact reference, such as `word/word@v12`."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """D, floats per vector."""

    @property
    @abstractmethod
    def space(self) -> str:
        """Id of the coordinate system."""

    @property
    @abstractmethod
    def manifest(self) -> Manifest:
        """Everything that the version says about itself."""

    @abstractmethod
    def keys(self) -> pa.StringArray:
        """(N,) string, in row order."""

    @abstractmethod
    def rows(self, keys: pa.StringArray) -> np.ndarray:
        """(Q,) int64, the row of each key, -1 where it has none."""

    @abstractmethod
    def file(self, name: str) -> Path:
        """A local path to one of the version's own files, its bytes verified."""

    @abstractmethod
    def numpy(self) -> np.ndarray:
        """(N, D) float32, read-only and mapped."""

    @abstractmethod
    def table(self) -> pa.Table:
        """N rows of `key`, `vector` and the attributes."""

    @abstractmethod
    def attributes(self) -> pa.Table:
        """N rows of `key` and the attributes."""

    @abstractmethod
    def _private_vectors(self) -> np.ndarray:
        """(N, D) float32, mapped copy-on-write: writing changes this process only, never the file."""

    def compose(self, bags: BagsLike, weights: object = None, *, missing: MissingFeature | None = None) -> Composed:
        """One vector per weighted bag of keys, as the version's composer says; see `Composer.compose`.

        >>> words.compose([{"jax": 2.0, "gpu": 1.0}], missing="skip").vectors.shape   # doctest: +SKIP
        (1, 64)

        Args:
            bags: dicts of key to weight, lists of keys, or an Arrow list column of keys.
            weights: for lists of keys, as many weights in the same shape.
            missing: `skip`, `zero`, `mean` or `raise`, in place of the composer's own policy.

        Raises:
            InvalidQuery: a bag or a weight has no meaning; the message names bag and key.
            UnknownKey: a key has no vector and the policy is `raise`.
        """
        spec = self._composer_spec
        wanted = spec if missing is None else replace(spec, missing=missing)
        if wanted not in self._composers:
            self._composers[wanted] = self.composer(wanted)
        return self._composers[wanted].compose(bags, weights)

    def composer(self, spec: ComposerSpec | None = None) -> Composer:
        """What makes vectors of bags: by the version's own `composer.json`, or by another spec.

        Raises:
            InvalidQuery: the spec weighs keys by an attribute that is missing or is no weight.
        """
        spec = self._composer_spec if spec is None else spec
        factors = None if spec.weighting == "none" else key_weights(spec, self.attributes())
        return Composer(
            spec=spec,
            keys=self.keys(),
            table=self.numpy(),
            find=self.rows,
            factors=factors,
            space=self.space,
            reference=self.reference,
        )

    def export(
        self, path: str | Path, file_format: ExportFormat | None = None, *, overwrite: bool = False
    ) -> list[Path]:
        """Write one file for other programs, whole or not at all; returns the files written.

        By the suffix: `.safetensors` (keys, vectors and composer, for `load_bag`), `.txt` (word2vec),
        `.parquet`, `.jaxexp` (the composer for jax, with its `.safetensors` beside it).

        Raises:
            InvalidName: the folder is missing, or the suffix says no format.
            InvalidQuery: the format cannot hold this version, such as keys with spaces in `.txt`.
            TargetExists: there is such a file, and `overwrite` is false.
            MissingExtra: `.jaxexp` without `pip install 'embedding-assets[export]'`.
        """
        from registry.compose.export import export_version

        return export_version(self, path, file_format, overwrite=overwrite)

    @cached_property
    def _composers(self) -> dict[ComposerSpec, Composer]:
        """Those that `compose` used: their weights, and the mean of the vectors, are computed once."""
        return {}

    @cached_property
    def _composer_spec(self) -> ComposerSpec:
        source = f"{self.reference} {layout.COMPOSER}"
        return read_composer(
            self.file(layout.COMPOSER).read_bytes(), source, self.dim, self.manifest.files[layout.TABLE]
        )

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` indexed by key: columns 0 to D - 1, then one per attribute.

        The vectors are the mapped file, not a copy of it, and read-only as it is.

        Raises:
            MissingExtra: run `pip install 'embedding-assets[pandas]'`.
        """
        pandas = load_extra("pandas", "pandas")
        index = pandas.Index(self.keys().to_pandas(), name="key")
        frame = pandas.DataFrame(self.numpy(), index=index, columns=range(self.dim), copy=False)
        attributes = self.attributes().drop_columns(["key"])
        for name, column in zip(attributes.column_names, attributes.columns, strict=True):
            frame[name] = column.to_pandas().to_numpy()
        return frame

    def to_polars(self) -> Any:
        """A `polars.DataFrame` of `key`, `vector` (Array of D Float32) and the attributes.

        Raises:
            MissingExtra: run `pip install 'embedding-assets[polars]'`.
        """
        return load_extra("polars", "polars").from_arrow(self.table())

    def duckdb(self, connection: Any, name: str) -> Any:
        """Make the table a view of a DuckDB connection, and return it as a relation.

        >>> words.duckdb(connection, "words")                                        # doctest: +SKIP
        >>> connection.sql("select key from words where count > 100 order by count") # doctest: +SKIP

        The view reads the mapped vectors (`FLOAT[D]`); it is gone with the connection.
        """
        connection.register(name, self.table())
        return connection.view(name)

    def to_gensim(self) -> Any:
        """A `gensim.models.KeyedVectors` over the mapped vectors; what it writes stays in this process.

        Raises:
            MissingExtra: run `pip install 'embedding-assets[gensim]'`.
        """
        vectors = load_extra("gensim.models", "gensim").KeyedVectors(self.dim)
        vectors.index_to_key = self.keys().to_pylist()
        vectors.key_to_index = {key: row for row, key in enumerate(vectors.index_to_key)}
        vectors.vectors = self._private_vectors()
        return vectors

    def flax(self, *, unknown: UnknownRow = None) -> Any:
        """A `flax.nnx.Embed` with N rows, or N + 1 with a row for unknown keys.

        An id of N or more gives NaN there: map keys by `rows(keys, unknown=N)` and ask for the row.

        Raises:
            MissingExtra: run `pip install 'embedding-assets[flax]'`.
        """
        nnx, jnp = load_extra("flax.nnx", "flax"), load_extra("jax.numpy", "flax")
        values = jnp.asarray(self._layer_values(unknown))
        count, width = values.shape
        # The initialiser returns the table itself: no random one is drawn first.
        return nnx.Embed(count, width, embedding_init=lambda *_: values, rngs=nnx.Rngs(0))

    def torch(self, *, freeze: bool = True, unknown: UnknownRow = None) -> Any:
        """A `torch.nn.Embedding` with N rows, or N + 1 with a row for unknown keys.

        Without the extra row the weight is the mapped file, copy-on-write: nothing is read before it
        is used, frozen layers of several processes share their memory, and a trained one copies only
        the pages that it changes. The file never changes.

        Raises:
            MissingExtra: run `pip install 'embedding-assets[torch]'`.
        """
        torch = load_extra("torch", "torch")
        weight = torch.from_numpy(self._layer_values(unknown))
        return torch.nn.Embedding.from_pretrained(weight, freeze=freeze)

    def torch_bag(self, *, mode: str = "sum", freeze: bool = True, unknown: UnknownRow = None) -> Any:
        """A `torch.nn.EmbeddingBag` that composes: feed it what `composer().flatten(bags)` gives.

        >>> flat = words.composer().flatten([{"jax": 2.0, "gpu": 1.0}])          # doctest: +SKIP
        >>> rows, starts, weights = map(torch.from_numpy, (flat.rows, flat.starts, flat.weights))  # doctest: +SKIP
        >>> words.torch_bag()(rows, starts, per_sample_weights=weights)          # doctest: +SKIP

        Its offsets are `starts`, with the end of the last bag; torch takes weights in mode `sum` only. A
        composer whose policy is `mean` needs `unknown="mean"`.

        Raises:
            MissingExtra: run `pip install 'embedding-assets[torch]'`.
        """
        torch = load_extra("torch", "torch")
        weight = torch.from_numpy(self._layer_values(unknown))
        return torch.nn.EmbeddingBag.from_pretrained(weight, freeze=freeze, mode=mode, include_last_offset=True)

    def keras(self, *, freeze: bool = True, unknown: UnknownRow = None) -> Any:
        """A `keras.layers.Embedding` with N rows, or N + 1 with a row for unknown keys; Keras copies.

        Keras needs a backend: set the environment variable `KERAS_BACKEND` to `jax` before the first
        import, unless TensorFlow is installed.

        Raises:
            MissingExtra: run `pip install 'embedding-assets[keras]'`, or set the backend.
        """
        layers = load_extra("keras.layers", "keras", ", or set KERAS_BACKEND to an installed one such as jax")
        values = self._layer_values(unknown)
        settings = {"embeddings_initializer": "zeros", "weights": values, "trainable": not freeze}
        return layers.Embedding(*values.shape, **settings)

    def _layer_values(self, unknown: UnknownRow) -> np.ndarray:
        if unknown is None:
            return self._private_vectors()
        if unknown not in ("zero", "mean"):
            raise InvalidQuery(f"unknown is {unknown!r:.80}; use 'zero', 'mean' or None")
        values = self.numpy()
        row = Vectors(values).mean if unknown == "mean" else np.zeros(self.dim, np.float32)
        return np.concatenate([values, row[None]])
