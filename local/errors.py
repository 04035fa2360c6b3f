"""The one error that `local` raises for a person: what is wrong, what was given and what to do about it."""


class LocalError(Exception):
    """Something on this machine that its owner can mend.

    `what` is one sentence that names the thing and the value met; `todo` says what to do about it.
    """

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo

    def __str__(self) -> str:
        return f"{self.what}\n  what to do: {self.todo}"
