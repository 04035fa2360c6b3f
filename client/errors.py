"""The one error that `client` raises for a person: what is wrong and what to do about it."""


class ClientError(Exception):
    """The platform could not be reached or did not do what was asked."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo

    def __str__(self) -> str:
        return f"{self.what}\n  what to do: {self.todo}"
