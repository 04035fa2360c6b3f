"""The one error of `benchmarks`: what is wrong, and what to do about it."""


class BenchmarkError(Exception):
    """A benchmark, a results file or an expectation cannot be used."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo

    def __str__(self) -> str:
        return f"{self.what}\n  what to do: {self.todo}"
