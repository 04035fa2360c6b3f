"""Which arm of an experiment a user is in: the same one in every pod and at any time, without a table.

Each arm draws a waiting time from the exponential distribution whose rate is its share, and the shortest one
has the user: an arm wins with a probability equal to its share. What is drawn is a hash of experiment, user
and arm, so that

* a user stays in an arm as long as the shares stay;
* two experiments divide the users independently of each other;
* when one arm's share grows, users only move to it, and as few as the new shares need: what an arm draws does
  not depend on the others (weighted rendezvous hashing: Schindelhauer and Schomaker, "Weighted distributed
  hash tables", SPAA 2005).
"""

import hashlib
import math
from collections.abc import Mapping


def arm_of(experiment: str, arms: Mapping[str, float], user: str) -> str:
    """The arm that has the user; `arms` has the share of each by name, at least one of them above 0."""
    waits = {name: wait(experiment, user, name) / share for name, share in arms.items() if share > 0}
    return min(waits, key=lambda name: (waits[name], name))


def wait(experiment: str, user: str, arm: str) -> float:
    """A waiting time at rate 1: `-ln(u)`, where u is the hash as a number within (0, 1]."""
    digest = hashlib.blake2b(digest_size=8, person=b"seatrial-arm")
    for word in (experiment, user, arm):
        data = word.encode()
        # With its length before each word, so that two lists of words never look the same.
        digest.update(len(data).to_bytes(4, "big") + data)
    return -math.log((int.from_bytes(digest.digest(), "big") + 0.5) / 2**64)
