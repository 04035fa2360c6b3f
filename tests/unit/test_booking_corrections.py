"""Corrections of outcomes, against a real database."""

from typing import Any

from tests.unit.booking_service import Under

RIGHT = {"outcome": 0, "source": "airline", "reason": "the gate was misread"}


def told(booking: Under, *ids: str, tenant: str = "shop") -> dict[str, str]:
    headers = {"x-tenant": tenant}
    for each in ids:
        booking.quote(each, tenant)
        given = {"request_id": each, "outcome": 1, "source": "arrivals"}
        assert booking.http.post("/v1/outcomes", json=given, headers=headers).status_code == 200
    return headers


def test_a_correction_counts_once_and_keeps_its_history(booking: Under) -> None:
    headers = told(booking, "r-1")
    before = booking.rows("SELECT * FROM scored")[0]
    put: Any = lambda: booking.http.put("/v1/outcomes/r-1", json=RIGHT, headers=headers).json()  # noqa: E731
    assert put() == {"corrected": 1, "unchanged": 0}
    assert put() == {"corrected": 0, "unchanged": 1}
    (after,) = booking.rows("SELECT * FROM scored")
    assert (after["outcome"], after["hit"]) == (0, not before["hit"])
    assert after["known_at"] == before["known_at"]
    found = booking.http.get("/v1/outcomes/r-1", headers=headers).json()
    assert (found["outcome"], found["source"]) == (0, "airline")
    (change,) = found["history"]
    assert (change["number"], change["old_outcome"], change["outcome"]) == (1, 1, 0)
    assert (change["old_source"], change["reason"]) == ("arrivals", RIGHT["reason"])


def test_corrections_are_all_or_none(booking: Under) -> None:
    headers = told(booking, "r-1", "r-2")
    many = [RIGHT | {"request_id": each} for each in ("r-1", "r-2")]
    bad = booking.http.put("/v1/outcomes", json=[*many, RIGHT | {"request_id": "r-9"}], headers=headers)
    assert (bad.status_code, "r-9" in bad.text) == (404, True)
    assert booking.rows("SELECT * FROM outcome_changes") == []
    assert booking.http.put("/v1/outcomes", json=many, headers=headers).json()["corrected"] == 2
    assert booking.http.put("/v1/outcomes", json=[many[0]] * 2, headers=headers).status_code == 422


def test_another_tenant_neither_corrects_nor_reads(booking: Under) -> None:
    told(booking, "r-1")
    other = {"x-tenant": "other"}
    assert booking.http.put("/v1/outcomes/r-1", json=RIGHT, headers=other).status_code == 404
    assert booking.http.get("/v1/outcomes/r-1", headers=other).status_code == 404
    assert booking.rows("SELECT * FROM outcome_changes") == []
