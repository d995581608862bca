"""Turns go by priority, and among tenants by what each has used."""

from __future__ import annotations

from collections import Counter

from server.fairness import FairQueue, Priority

INTERACTIVE, BATCH = Priority.INTERACTIVE, Priority.BATCH


def served(queue: FairQueue[str], turns: int, took_s: dict[str, float] | None = None) -> list[str]:
    """Who gets the next turns, one after the other; each takes a second, or what is said of its tenant."""
    order = []
    for _ in range(turns):
        item = queue.pop(1.0)
        assert item is not None
        order.append(item)
        tenant = item.split("-")[0]
        queue.settle(tenant, 1.0, (took_s or {}).get(tenant, 1.0))
    return order


def fill(queue: FairQueue[str], tenant: str, count: int, priority: Priority = INTERACTIVE) -> None:
    for number in range(count):
        queue.push(f"{tenant}-{number}", tenant, priority)


def test_requests_of_one_tenant_keep_their_order() -> None:
    queue: FairQueue[str] = FairQueue()
    fill(queue, "a", 4)
    assert served(queue, 4) == ["a-0", "a-1", "a-2", "a-3"]
    assert queue.pop(1.0) is None


def test_a_tenant_with_few_requests_does_not_wait_behind_one_with_many() -> None:
    queue: FairQueue[str] = FairQueue()
    fill(queue, "many", 10)
    fill(queue, "few", 2)
    assert served(queue, 4) == ["many-0", "few-0", "many-1", "few-1"]


def test_what_counts_is_the_time_that_turns_took() -> None:
    queue: FairQueue[str] = FairQueue()
    fill(queue, "slow", 30)
    fill(queue, "quick", 30)
    turns = Counter(item.split("-")[0] for item in served(queue, 20, {"slow": 4.0, "quick": 1.0}))
    assert turns["quick"] >= 3 * turns["slow"]


def test_a_tenant_gets_its_share() -> None:
    queue: FairQueue[str] = FairQueue(lambda tenant: {"double": 2.0}.get(tenant, 1.0))
    fill(queue, "double", 30)
    fill(queue, "single", 30)
    turns = Counter(item.split("-")[0] for item in served(queue, 15))
    assert turns == {"double": 10, "single": 5}


def test_nobody_saves_up_turns_by_staying_away() -> None:
    queue: FairQueue[str] = FairQueue()
    fill(queue, "early", 40)
    served(queue, 20)
    fill(queue, "late", 20)
    turns = Counter(item.split("-")[0] for item in served(queue, 20))
    assert abs(turns["late"] - turns["early"]) <= 1


def test_leaving_and_coming_back_does_not_wipe_out_what_was_used() -> None:
    queue: FairQueue[str] = FairQueue()
    fill(queue, "steady", 40)
    turns: Counter[str] = Counter()
    for _ in range(20):
        queue.push("flighty-0", "flighty", INTERACTIVE)  # one at a time: gone from the line whenever it is served
        turns.update(item.split("-")[0] for item in served(queue, 2))
        for item in list(queue):
            if item == "flighty-0":
                queue.remove(item, "flighty", INTERACTIVE)
    assert turns["flighty"] <= 21


def test_interactive_requests_go_first_and_batches_are_not_starved() -> None:
    queue: FairQueue[str] = FairQueue()
    fill(queue, "batch", 3, BATCH)
    fill(queue, "person", 40)
    order = [item.split("-")[0] for item in served(queue, 17)]
    assert order[:7] == ["person"] * 7
    assert order.count("batch") == 2


def test_one_that_leaves_is_not_served() -> None:
    queue: FairQueue[str] = FairQueue()
    fill(queue, "a", 3)
    queue.remove("a-1", "a", INTERACTIVE)
    queue.remove("a-1", "a", INTERACTIVE)
    assert len(queue) == 2
    assert served(queue, 2) == ["a-0", "a-2"]


def test_who_is_ahead_of_a_newcomer() -> None:
    queue: FairQueue[str] = FairQueue()
    fill(queue, "many", 10)
    fill(queue, "batch", 5, BATCH)
    assert queue.ahead("many", INTERACTIVE) == 10
    assert queue.ahead("new", INTERACTIVE) == 1
    assert queue.ahead("new", BATCH) == 11


def test_accounts_of_tenants_that_are_gone_do_not_pile_up() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(5000):
        queue.push("x", f"tenant{number}", INTERACTIVE)
        assert queue.pop(0.1) == "x"
        queue.settle(f"tenant{number}", 0.1, 0.2)
    assert len(queue._used_s) < 2000
