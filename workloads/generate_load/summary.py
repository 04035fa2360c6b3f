"""A result as a person reads it in a terminal."""

from collections.abc import Iterator

from workloads.generate_load.result import Quantiles, Result


def summary(result: Result) -> str:
    return "\n".join(lines(result))


def lines(result: Result) -> Iterator[str]:
    plan = result.plan
    stopped = ", stopped" if result.stopped else ""
    yield (
        f"{result.requests:,} requests to {plan['url']}, {plan['arrival']} at {plan['rate']:g}/s, "
        f"seed {plan['seed']}, {plan['connections']} connections{stopped}"
    )
    yield from counts("outcome", result.outcomes)
    if plan["count_header"]:
        yield from counts(plan["count_header"], result.counted)
    yield from table(result)
    for failure in result.failures[:3]:
        yield f"  at {failure.at:.1f} s: {failure.outcome}: {failure.said}"
    yield from judged(result)


def counts(title: str, found: dict[str, int]) -> Iterator[str]:
    whole = sum(found.values())
    yield f"\n  {title:<24}{'requests':>10}{'share':>11}"
    for name, count in found.items():
        yield f"  {name or '(none)':<24}{count:>10,}{100 * count / whole:>9.2f} %"


def table(result: Result) -> Iterator[str]:
    latency, sent = result.latency, result.from_send
    censored = f", {latency.timeouts:,} of them timeouts" if latency.timeouts else ""
    yield f"\n  latency in ms from the scheduled time ({latency.samples:,} samples{censored})"
    yield f"  {'':<8}{'value':>10}   {'95 % interval':<22}{'from the send':>14}"
    for q in latency.told:
        yield f"  p{100 * float(q):<7g}{row(latency, q)}{told(sent, q):>14}"
    if latency.largest is not None:
        yield f"  {'largest':<8}{latency.largest:>10.1f}"


def row(latency: Quantiles, q: str) -> str:
    found = latency.told[q]
    if found is None:
        return f"{'–':>10}   {f'needs {latency.needs[q]:,} samples':<22}"
    return f"{found.value:>10.1f}   {f'{found.low:.1f} … {found.high:.1f}':<22}"


def told(of: Quantiles, q: str) -> str:
    found = of.told[q]
    return "–" if found is None else f"{found.value:.1f}"


def judged(result: Result) -> Iterator[str]:
    if result.control:
        own, rate = result.control, result.control["rate"]
        known = own["latency_ms"]["told"]["0.99"] or own["latency_ms"]["told"]["0.5"]
        at = f"p{'99' if own['latency_ms']['told']['0.99'] else '50'}"
        word = f"{at} {known['value']:.1f} ms" if known else "too few samples"
        kept = (
            "it keeps its times"
            if own["valid"]
            else "it DOES NOT KEEP ITS TIMES: ask for less, or on a quieter machine"
        )
        lag = f"lag p99 {own['lag_p99_ms']:.2f} ms"
        yield f"\n  the generator by itself, at {rate:g}/s: {word}, {lag}; {kept}"
    broken = [entry for entry in result.validity if not entry.ok]
    late, off = result.validity
    yield (
        f"\n  lag p99 {late.value:.2f} ms (limit {late.limit:.2f}), rate off by {100 * off.value:.2f} % "
        f"(limit {100 * off.limit:g})"
    )
    if broken:
        yield (
            "  INVALID: the generator did not keep its times. What is counted holds, the latencies do not: "
            "they are in part its own"
        )
    else:
        yield "  valid"
