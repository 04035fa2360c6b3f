"""Values as people read them, by Grafana's names of units."""

from dataclasses import dataclass

_PLAIN = ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"))
_BYTES = ((1.0, "B"), (2.0**10, "KiB"), (2.0**20, "MiB"), (2.0**30, "GiB"), (2.0**40, "TiB"))
_TIME = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"), (86400.0, "d"))
_RATES = {"ops": "/s", "reqps": "/s", "cps": "/s"}
"""Operations, requests and counts a second: the panel says of what."""


@dataclass(frozen=True)
class Scale:
    """What a value is divided by, and the word behind it."""

    factor: float
    word: str

    def shown(self, value: float) -> str:
        """The value with three digits and its unit."""
        number = value / self.factor
        return f"{number:,.0f}{self.word}" if abs(number) >= 1000 else f"{number:.3g}{self.word}"


def scale(unit: str, highest: float) -> Scale:
    """How values of a unit are written where the highest of them is this.

    What is written after `suffix:`, and a name that is not known here, stands behind the number as it is.
    """
    if unit == "percentunit":
        return Scale(0.01, " %")
    if unit in ("none", "short"):
        return _scaled(_PLAIN, highest, "")
    if unit in ("bytes", "Bps"):
        return _scaled(_BYTES, highest, "/s" if unit == "Bps" else "")
    if unit in ("s", "ms"):
        least = 1.0 if unit == "s" else 1e-3
        made = _scaled(_TIME, highest * least, "")
        return Scale(made.factor / least, made.word)
    if unit in _RATES:
        return _scaled(_PLAIN, highest, _RATES[unit])
    return Scale(1.0, f" {unit.removeprefix('suffix:').strip()}")


def _scaled(steps: tuple[tuple[float, str], ...], highest: float, behind: str) -> Scale:
    fitting = [each for each in steps if each[0] <= highest]
    one = next((each for each in steps if each[0] == 1.0), steps[0])
    factor, word = fitting[-1] if fitting else (one if highest == 0 else steps[0])
    word = f"{word}{behind}"
    return Scale(factor, f" {word}" if word else "")
