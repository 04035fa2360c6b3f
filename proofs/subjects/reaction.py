"""Alerts are answered by a policy: once, also when they come and go, and when the controller is killed."""

from client import Platform, traffic
from client.waiting import until
from proofs import pager, rollouts
from proofs import reaction as probes
from proofs.rollouts import FIRST, SECOND
from proofs.run import Check, proof
from proofs.subjects.serving_gateway import require_part


@proof("reaction")
def an_alert_about_a_version_is_answered_by_its_rollback(platform: Platform, check: Check) -> None:
    """An alert of Prometheus, told by Alertmanager, that names a version takes its share of the traffic away,
    in the route and at the Gateway, and the trail says why, what was done and what came of it.
    """
    require_part(platform, check)
    with rollouts.served(platform, FIRST, SECOND) as (first, bad), probes.reacting(platform) as reaction:
        before = probes.canary(platform, bad)
        check(before.get(bad, 0) > 0, "the version has a share of the traffic", weights=before)
        with probes.alerted(platform, bad):
            (done,) = reaction.until_finished(patience=probes.TO_ARRIVE)
        check.equal(done["result"], "done", "the rollback was done")
        check.equal(done["rule"], "a version fails", "the trail names the rule")
        check.equal((done["model"], done["version"]), (rollouts.NAME, bad), "and the version")
        check(len(done["steps"]) == 2, "and what was done", steps=done["steps"])
        check.equal(probes.weights(platform), {first: traffic.TOTAL}, "the other version has all traffic")
        rollouts.until_answered_by(platform, {first})
        check.equal(done["detail"]["left"], bad, "the trail names what was left")


@proof("reaction")
def an_alert_that_comes_and_goes_acts_once(platform: Platform, check: Check) -> None:
    """The same alert, resolved and fired again within the cooldown, changes nothing: the version keeps the
    share that somebody gave it meanwhile, and the trail says why nothing was done.
    """
    require_part(platform, check)
    with rollouts.served(platform, FIRST, SECOND) as (_, bad), probes.reacting(platform) as reaction:
        probes.canary(platform, bad)
        began = probes.now()
        reaction.tell(bad, "firing", began)
        reaction.until_finished()
        reaction.tell(bad, "resolved", began)
        reaction.until_decided("resolved", began)
        given, later = probes.canary(platform, bad), probes.now()
        reaction.tell(bad, "firing", later)
        again = reaction.until_decided("cooldown", later)
        check.equal(again["action"], "nothing", "the same alert again does nothing")
        check("is left alone until" in again["reason"], "it says why", reason=again["reason"])
        check.equal(len(reaction.actions()), 1, "there was one rollback")
        check.equal(probes.weights(platform), given, "the traffic stays as it was given")


@proof("reaction")
def a_killed_controller_acts_once(platform: Platform, check: Check) -> None:
    """A controller that is killed after it has decided and before it has acted does, when it is back, what
    was decided: once.
    """
    require_part(platform, check)
    with rollouts.served(platform, FIRST, SECOND) as (first, bad), probes.reacting(platform) as reaction:
        before = probes.canary(platform, bad)
        with probes.held(platform):
            began = probes.now()
            reaction.tell(bad, "firing", began)
            reaction.until_decided("rule", began)
            (intent,) = reaction.actions()
            check.equal(intent["finished_at"], None, "the intent is there, and open")
            check.equal(probes.weights(platform), before, "nothing was done yet")
            probes.kill(platform)
        found = reaction.until_finished()
        check.equal([each["id"] for each in found], [intent["id"]], "there is no other rollback")
        check.equal(found[0]["result"], "done", "the next controller did it")
        acts = [each for each in found[0]["steps"] if "loses its traffic" in each["what"]]
        check.equal(len(acts), 1, "it was done once")
        check.equal(probes.weights(platform), {first: traffic.TOTAL}, "the other version has all traffic")


@proof("reaction")
def what_is_left_to_people_is_told_them_once(platform: Platform, check: Check) -> None:
    """An alert that the policy leaves to people reaches the service that tells them, once: although it is
    away at first, the controller is killed meanwhile, and the alert goes and comes again.
    """
    require_part(platform, check)
    with pager.running(platform) as people, probes.reacting(platform, pages_to=people.url) as reaction:
        began = probes.now()
        reaction.tell_of_outage("firing", began)
        until(lambda: people.refused() > 0, "the page to be tried", 60)
        (intent,) = reaction.actions(probes.PAGE)
        check.equal(intent["finished_at"], None, "the intent is there, and open")
        probes.kill(platform)
        people.back()
        (done,) = reaction.until_finished(probes.PAGE)
        check.equal(done["result"], "done", "the page was sent")
        reaction.tell_of_outage("resolved", began)
        reaction.until_decided("resolved", began)
        later = probes.now()
        reaction.tell_of_outage("firing", later)
        reaction.until_decided("paged lately", later)
        taken = people.taken()
        check.equal(len(taken), 1, "one page arrived")
        check.equal(taken[0]["dedup_key"], done["detail"]["dedup_key"], "it has the key that the trail has")
        told = {name: taken[0][name] for name in ("alert", "reason")}
        check.equal(
            told, {"alert": probes.OUTAGE, "reason": "rule only people can"}, "it says of what, and why"
        )
