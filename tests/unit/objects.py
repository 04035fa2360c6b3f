"""An object store in memory, for tests."""

from types import SimpleNamespace as Some
from typing import Any


class Objects:
    """Its client's three calls that the drift watch and its proofs make."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def get_object(self, Bucket: str, Key: str) -> Any:
        if Key not in self.kept:
            raise KeyError("NoSuchKey")
        return {"Body": Some(read=lambda: self.kept[Key])}

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        self.kept[Key] = Body

    def delete_object(self, Bucket: str, Key: str) -> None:
        self.kept.pop(Key, None)
