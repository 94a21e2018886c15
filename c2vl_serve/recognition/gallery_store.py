"""GalleryStore: a gallery in one SQLite file, bound to the encoder that made its embeddings.

Embeddings are stored, never joints or pictures. A change is on the disk before the call returns
(WAL, ``synchronous=FULL``), so that a process may be killed at any moment. Several processes may
share a file: each sees the others' changes.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from c2vl_serve.bundle import MODEL, ModelBundle
from c2vl_serve.errors import BundleError, RuntimeUnavailable
from c2vl_serve.recognition.gallery import EnrolledAction, Gallery, checked_name
from c2vl_serve.recognition.gallery_file import Origin

FORMAT = "c2vl-gallery-1"
MEMORY = Path(":memory:")  # SQLite's own name for a gallery that ends with its process
PATIENCE = 10.0  # seconds to wait for another process that writes
_TABLES = """
    CREATE TABLE gallery (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE example (
        id INTEGER PRIMARY KEY, action TEXT NOT NULL, vector BLOB NOT NULL,
        added TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
    );
    CREATE INDEX example_action ON example (action);
"""


class GalleryStore:
    """The gallery of one bundle; safe to use from several threads.

    A file is made by the first change, so that nothing is left behind where nobody enrols, and a
    place that cannot be written to matters only to who wants to.

    Args:
        path: of the file; :data:`MEMORY` for none.
        bundle: whose encoder makes the embeddings, and in whose space they are compared.

    Raises:
        BundleError: when the file is of another encoder, or no gallery.
        RuntimeUnavailable: when the file cannot be opened.
    """

    def __init__(self, path: Path, bundle: ModelBundle) -> None:
        self.path = path
        self.origin = Origin.of(bundle)
        self._labels = bundle.card.labels
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self._gallery = Gallery(space=bundle.gallery_space)
        if path.exists():
            with self._lock, self._spoken():
                self._open()

    @property
    def gallery(self) -> Gallery:
        """The enrolled actions now, with what other processes have changed."""
        with self._lock, self._spoken():
            if self._connection is None and self.path.exists():
                self._open()
            if self._connection is not None:
                (version,) = self._connection.execute("PRAGMA data_version").fetchone()
                if version != self._version:
                    self._read()
                    self._version = version
            return self._gallery

    def add(self, name: str, examples: Float32[np.ndarray, "E D"]) -> EnrolledAction:
        """Enrol an action, or add examples to it; on the disk when this returns.

        Args:
            name: of the action.
            examples: embeddings of unit length.

        Raises:
            GalleryError: when the name cannot be used.
            ActionConflict: when the bundle has such a label, or there is no room.
            RuntimeUnavailable: when the file cannot be written.
        """
        return self.add_all({name: examples})[0]

    def add_all(self, actions: dict[str, Float32[np.ndarray, "E D"]]) -> list[EnrolledAction]:
        """Enrol several actions, all or none; as :meth:`add`."""
        named = [(checked_name(name, self._labels), new) for name, new in actions.items()]
        with self._change() as connection:
            for name, examples in named:
                self._read()
                self._gallery.check_room(name, len(examples))
                connection.executemany(
                    "INSERT INTO example (action, vector) VALUES (?, ?)",
                    [(name, vector.astype("<f4").tobytes()) for vector in examples],
                )
            self._read()
        return [self._gallery.actions[name] for name, _ in named]

    def remove(self, name: str) -> None:
        """Forget an action.

        Raises:
            UnknownAction: when it is not enrolled.
            RuntimeUnavailable: when the file cannot be written.
        """
        self.gallery.action(name)
        with self._change() as connection:
            connection.execute("DELETE FROM example WHERE action = ?", (name,))
            self._read()

    def close(self) -> None:
        """Close the file; the gallery read last stays."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: whole on the disk at its end, or as if it had never begun."""
        with self._lock, self._spoken():
            connection = self._connection or self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._read()
                raise

    def _open(self) -> sqlite3.Connection:
        if self.path != MEMORY:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            self._make_or_check(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _make_or_check(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if not tables:
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                entries = {"format": FORMAT, **self.origin.to_dict()}
                connection.executemany("INSERT INTO gallery VALUES (?, ?)", entries.items())
            else:
                self._check(connection, tables)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _check(self, connection: sqlite3.Connection, tables: set[str]) -> None:
        entries = dict(connection.execute("SELECT * FROM gallery")) if "gallery" in tables else {}
        if entries.pop("format", None) != FORMAT or "example" not in tables:
            raise BundleError(
                f"{self.path} is a database but no gallery of format {FORMAT!r}; set C2VL_GALLERY "
                "to another file"
            )
        self.origin.check(Origin.from_dict(entries), f"the gallery {self.path}")

    def _read(self) -> None:
        """Take the enrolled actions over from the file, in the order of their enrolment."""
        assert self._connection is not None
        rows = self._connection.execute("SELECT action, vector FROM example ORDER BY id")
        vectors: dict[str, list[np.ndarray]] = {}
        for name, vector in rows:
            vectors.setdefault(name, []).append(np.frombuffer(vector, "<f4").astype(np.float32))
        actions = {
            name: EnrolledAction(name=name, examples=np.stack(each))
            for name, each in vectors.items()
        }
        self._gallery = Gallery(actions=actions, space=self._gallery.space)

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        """Whatever the file system or SQLite says, in a sentence."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise self._unusable(error) from error
            raise BundleError(
                f"{self.path} is no gallery: {error}; set C2VL_GALLERY to another file, or import "
                "an exported gallery into a new one"
            ) from error
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> RuntimeUnavailable:
        return RuntimeUnavailable(
            f"the gallery {self.path} cannot be used: {error}; set C2VL_GALLERY to a file that "
            "can be written to"
        )


def default_file(bundle: ModelBundle, data_home: Path) -> Path:
    """Where a bundle's gallery lies unless the settings say otherwise; another encoder's elsewhere.

    Args:
        bundle: whose encoder makes the embeddings.
        data_home: the user's folder for data of programs.
    """
    name = f"{bundle.card.identity}-{bundle.card.hashes[MODEL][:12]}.sqlite"
    return data_home / "c2vl-serve" / "galleries" / name
