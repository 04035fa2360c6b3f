"""One MLflow model directory, loaded: its prediction, its signature, and what it says of itself."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .signature import Columns, Tensors, Unservable, of_schema


class WrongFiles(ValueError):
    """The files are not those that the registered version consists of."""


class Loaded:
    """The model in `folder`, ready to predict.

    Raises:
        WrongFiles: `digest` is given and is not that of the files.
        Unservable: the model has no signature that requests can be checked against.
    """

    def __init__(self, folder: Path, digest: str | None = None) -> None:
        self.digest = digest_of(folder)
        if digest is not None and digest != self.digest:
            raise WrongFiles(
                f"the files in {folder} have the digest {self.digest}, those of the registered version have "
                f"{digest}: they were changed after it was registered, or the address is another model's"
            )
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow

        self._model = mlflow.pyfunc.load_model(str(folder))
        about = self._model.metadata
        self.run_id: str | None = about.run_id
        self.flavors = sorted(set(about.flavors) - {"python_function"}) or ["python_function"]
        self.inputs: Columns | Tensors = of_schema(about.get_input_schema())
        if about.get_params_schema() is not None:
            raise Unservable("the model's signature has parameters, which no protocol here carries")
        self.outputs = about.get_output_schema()

    def predict(self, given: Any) -> Any:
        """What the model makes of a data frame or of arrays, as MLflow hands it out."""
        return self._model.predict(given)


def digest_of(folder: Path) -> str:
    """SHA-256 over the list of all files with their hashes, as `sha256sum` prints it, ordered by name.

    Files without content do not count: KServe's storage initializer leaves them out.
    """
    lines = (
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in _files(folder)
    )
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def _files(folder: Path) -> Iterator[Path]:
    found = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
    # What Python left beside code that it ran is not part of the model.
    kept = [path for path in found if "__pycache__" not in path.parts]
    yield from sorted(kept, key=lambda path: path.relative_to(folder).as_posix())
