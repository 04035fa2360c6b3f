"""What came of predictions gets into the lake, whoever is killed, and says how good a version is."""

from dataclasses import replace

from client import Platform, outputs
from client.waiting import until
from proofs import booking, models, shipped
from proofs.run import Check, proof
from proofs.subjects.serving_gateway import require_part
from workloads.generate_load import bookings

ASKED, MOST = 60, 600
"""Quotes that are asked for, and how many at most until the shipper was killed."""
KILLS = 2
FEW = 30
STRANGE = 5
"""Of them so many are predicted once more by a clock that is ahead."""
SEED = 17


@proof("feedback")
def a_killed_shipper_loses_and_doubles_nothing(platform: Platform, check: Check) -> None:
    """While quotes are asked for and outcomes told the shipper is killed twice, each time with a batch under
    way. In the end the lake has each row of the log once, and as it is.
    """
    require_part(platform, check)
    here = booking.booked(platform)
    with shipped.shipper(platform):
        codes: list[int] = []
        told = list(shipped.ask(here, bookings.sample(1, SEED)))
        check.equal(shipped.settled(platform, told, 600), {}, "the shipper has come to the end of the log")
        for each in shipped.ask(here, bookings.sample(MOST, SEED)):
            told.append(each)
            if len(codes) < KILLS and shipped.on_its_way(platform):
                codes.append(shipped.kill(platform))
            if len(codes) == KILLS and len(told) > ASKED:
                break
        check.equal(codes, [137] * KILLS, f"it was killed {KILLS} times with a batch under way")
        check.equal(
            shipped.settled(platform, told), {}, "the lake has each row of the log once, and as it is"
        )
        until(lambda: not shipped.on_its_way(platform), "the shipper to have tidied up", 60)
        check(True, "nothing is left of the batches that it was killed with")


@proof("feedback", needs=["feedback.a_killed_shipper_loses_and_doubles_nothing"])
def a_correction_arrives(platform: Platform, check: Check) -> None:
    """Outcomes that are told late and in a list, and corrected, are in the lake with their present values and
    their history, each in one row. A list that does not fit is refused whole.
    """
    require_part(platform, check)
    here = booking.booked(platform)
    with shipped.shipper(platform):
        told = [shipped.quote(here, each) for each in bookings.sample(FEW, SEED + 1)]
        check.equal(shipped.settled(platform, told, 600), {}, "what was asked for is in the lake")
        _told_in_a_list(here, check, [each for number, each in enumerate(told) if number % 3])
        check.equal(shipped.settled(platform, told), {}, "what was told is in the lake")
        known = told[1::3]
        check.equal(
            {each.request_id: shipped.present(platform, told).get(each.request_id) for each in known},
            {each.request_id: float(each.outcome) for each in known},
            "the view has the outcomes as they were told",
        )
        shipped.correct(here, known)
        check.equal(
            shipped.settled(platform, told), {}, "the corrections are in the lake, with their history"
        )
        found = shipped.present(platform, told)
        check.equal(
            {each.request_id: found.get(each.request_id) for each in known},
            {each.request_id: 1.0 - each.outcome for each in known},
            "the view has the present outcomes",
        )
        rest = {each.request_id: float(each.outcome) for each in told[2::3]}
        check.equal({name: found.get(name) for name in rest}, rest, "the others are as they were")


def _told_in_a_list(here: booking.Booked, check: Check, told: list[shipped.Told]) -> None:
    """All of them are recorded by one request, or none."""
    stranger = shipped.Told(f"{shipped.NAME}-nobody", 1)
    given = [shipped.outcome(each) for each in (*told, stranger)]
    answer = here.http.post("/v1/outcomes", json=given)
    check.equal(answer.status_code, 404, "a list with the outcome of a quote that there is not is refused")
    new, again = ({"recorded": len(told), "unchanged": 0}, {"recorded": 0, "unchanged": len(told)})
    check.equal(shipped.tell(here, told), new, "none of it was recorded; without that one all are")
    check.equal(shipped.tell(here, told), again, "the same list again changes nothing")


@proof("feedback", needs=["feedback.a_killed_shipper_loses_and_doubles_nothing"])
def clocks_that_differ_lose_nothing(platform: Platform, check: Check) -> None:
    """Outcomes that, by the clocks, were known before their prediction, and predictions that lie in the
    future, are in the lake and count once. A column and a metric name them; the others are as they were.
    """
    require_part(platform, check)
    here = booking.booked(platform)
    with shipped.shipper(platform):
        told = list(shipped.ask(here, bookings.sample(FEW, SEED + 3)))
        check.equal(shipped.settled(platform, told, 600), {}, "what was told is in the lake")
        before = shipped.scores(platform, told)
        early, ahead = told[::3], shipped.ahead(platform, told[:STRANGE])
        shipped.early(platform, early)
        taken = {"recorded": STRANGE, "unchanged": 0}
        check.equal(shipped.tell(here, ahead), taken, "the outcome of a prediction in the future is taken")
        check.equal(
            shipped.settled(platform, [*told, *ahead]),
            {},
            "the lake has each row of the log once, and as it is",
        )
        known_before = {each.request_id: [(float(each.outcome), True)] for each in (*early, *ahead)}
        check.equal(
            shipped.scores(platform, [*told, *ahead]),
            {**before, **known_before},
            "each counts once, by its outcome; the column names them, and the others are as they were",
        )
        _told_of_the_view(platform, check)
        _told_by_prometheus(platform, check)


@proof("feedback", needs=["feedback.a_killed_shipper_loses_and_doubles_nothing"])
def live_quality_is_that_of_the_rows(platform: Platform, check: Check) -> None:
    """The figures of the version that answers are, day by day, those that its rows give, and Prometheus tells
    accuracy, precision and calibration as they give them, of all and of a segment.
    """
    require_part(platform, check)
    here = booking.booked(platform)
    with shipped.shipper(platform):
        told = list(shipped.ask(here, bookings.sample(FEW, SEED + 2)))
        check.equal(shipped.settled(platform, told, 600), {}, "what was told is in the lake")
        _told_of_the_view(platform, check)
        _told_by_prometheus(platform, check)


@proof("feedback")
def only_its_tenant_and_operators_tell_an_outcome(platform: Platform, check: Check) -> None:
    """Through the Gateway a tenant can neither tell, nor correct, nor read what came of another's quote, even
    if it says that it is the other: to it there is none. An operator can, and it is kept who did.
    """
    require_part(platform, check)
    operator, other = booking.booked(platform), booking.of_tenant(platform, outputs.TENANT_TRIAL)
    asked = bookings.sample(2, SEED + 4)
    ours, theirs = shipped.quote(operator, asked[0]), shipped.quote(other, asked[1])
    place = f"/v1/outcomes/{ours.request_id}"

    def refused(method: str, path: str, given: object = None) -> None:
        said = {"x-tenant": booking.OPERATOR}
        answer = other.http.request(method, path, json=given, headers=said)
        check(
            answer.status_code == 404,
            f"another tenant gets 404 for {method}",
            status=answer.status_code,
            said=answer.text,
        )

    refused("POST", "/v1/outcomes", shipped.outcome(ours))
    taken = {"recorded": 1, "unchanged": 0}
    check.equal(shipped.tell(operator, [ours]), taken, "the outcome is still to be told")
    refused("PUT", "/v1/outcomes", [shipped.correction(ours)])
    refused("GET", place)
    found = operator.http.get(place).json()
    check.equal(
        (found["outcome"], found["told_by"], found["history"]),
        (ours.outcome, booking.OPERATOR, []),
        "nothing of it changed",
    )
    with booking.past_the_gateway(platform, booking.OPERATOR) as forger:
        status = forger.get(place).status_code
        check.equal(status, 404, "who asks past the Gateway is not the tenant that it says it is")
    check.equal(shipped.tell(operator, [theirs]), taken, "an operator tells what came of another's quote")
    shipped.correct(other, [theirs])
    shipped.correct(operator, [replace(theirs, outcome=1 - theirs.outcome)])
    found = other.http.get(f"/v1/outcomes/{theirs.request_id}").json()
    check.equal(
        (found["outcome"], found["told_by"], [each["corrected_by"] for each in found["history"]]),
        (theirs.outcome, booking.OPERATOR, [outputs.TENANT_TRIAL, booking.OPERATOR]),
        "the quote's own tenant and the operator corrected it, and the history says who",
    )


def _told_of_the_view(platform: Platform, check: Check) -> None:
    """Each figure of the view `live_quality` is that of its rows, of the version that answers."""
    of = (models.NAME, booking.booked(platform).model.found.version)
    days = shipped.by_day(shipped.rows(platform, *of))
    rows = {day: shipped.figures(found) for day, found in days.items()}
    view = shipped.figures_of_view(platform, *of)
    check.equal(set(view), set(rows), "the view has each day of the version")
    check(
        any(each["known"] and each["accuracy"] is not None for each in rows.values()),
        "there are enough outcomes for a figure",
        rows=rows,
    )
    for day, figures in rows.items():
        check(
            shipped.near(figures, view[day]),
            f"the figures of {day} are those of its rows",
            view=view[day],
            rows=figures,
        )


def _told_by_prometheus(platform: Platform, check: Check) -> None:
    """So is what Prometheus tells of the window, as a whole and of a segment, once it has read it."""
    of = (models.NAME, booking.booked(platform).model.found.version)
    seen: list[shipped.BySegment] = [{}, {}]

    def agree() -> bool:
        rows = shipped.within_window(shipped.rows(platform, *of))
        seen[:] = [shipped.to_be_told(rows), shipped.watched(platform, *of)]
        return shipped.agree(*seen)

    until(
        agree,
        lambda: f"Prometheus to tell of version {of[1]} what its rows say: {seen[1]} for {seen[0]}",
        300,
        every=2,
    )
    rows = seen[0]
    check(len(rows) > 1, f"there are enough outcomes for figures by {shipped.SEGMENT}", rows=rows)
    for name in shipped.COMPARED:
        given = rows[shipped.ALL][name]
        check(
            given is not None,
            f"Prometheus tells the {name} of the rows, of all and of each member",
            rows=rows,
        )
    check(True, "and on how many outcomes they rest, and how many came before their prediction")
