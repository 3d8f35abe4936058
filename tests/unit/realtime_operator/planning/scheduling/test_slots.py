"""Tests of the decision about slots, and of all orders of events in a fleet that shares them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.scheduling import slots
from realtime_operator.planning.scheduling.slots import OtherClusters, Request, Slot, SlotState, next_turn, read_slot
from realtime_operator.platforms.base import Key
from realtime_operator.reconciling.rollout_queue import RolloutQueue
from tests.kit.document import object_at

NOW = datetime(2026, 11, 29, tzinfo=UTC)
NEW, OLD = "newest", "oldest"
NAMES = ("a", "b", "c")


def document(name: str = "me", status: JsonObject | None = None, priority: str | None = None) -> JsonObject:
    """Return a stored cluster."""
    annotations: JsonObject = {} if priority is None else {naming.ANNOTATION_ROLLOUT_PRIORITY: priority}
    metadata: JsonObject = {
        "name": name, "namespace": "team", "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": annotations,
    }  # fmt: skip
    return {"metadata": metadata, "spec": {}, **({} if status is None else {"status": status})}


def cluster(priority: str | None = None) -> RealtimeCluster:
    """Return a parsed cluster."""
    return RealtimeCluster.from_object(document(priority=priority))


def replica_set(revision: str, replicas: int) -> JsonObject:
    """Return a ReplicaSet as it is stored."""
    metadata: JsonObject = {"name": f"me-{revision}", "labels": {naming.LABEL_REVISION: revision}}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": {"replicas": replicas}}


requests = st.lists(
    st.builds(Request, st.sampled_from(["x/1", "x/2", "x/3"]), st.integers(-2, 2), st.sampled_from(["2025", "2027"])),
    unique_by=lambda request: request.cluster, max_size=4,
)  # fmt: skip


@given(requests, st.sets(st.sampled_from(NAMES)), st.integers(0, 4), st.integers(-2, 2))
def test_a_slot_is_granted_when_there_is_room_for_all_before(
    asking: list[Request], holders: set[str], most: int, priority: int
) -> None:
    """And never beyond; the position is the number of those before, and of oneself."""
    me = cluster(str(priority))
    turn = next_turn(me, NEW, None, OtherClusters(tuple(holders), tuple(asking)), most, NOW)
    mine = (-priority, "2026-01-01T00:00:00Z", "team/me")
    before = sum((-other.priority, other.created_at, other.cluster) < mine for other in asking)
    assert turn.slot is not None
    assert not turn.begins
    assert (turn.slot.state is SlotState.GRANTED) is (before + 1 <= most - len(holders))
    if turn.slot.state is SlotState.WAITING_FOR_SLOT:
        assert turn.slot.position == before + 1


@pytest.mark.parametrize(
    ("others", "most", "revision", "begins"),
    [
        (OtherClusters(), 1, NEW, True),
        (OtherClusters(("x",)), 2, NEW, True),
        (OtherClusters(("x",)), 1, NEW, False),
        (OtherClusters(), 0, NEW, False),
        (OtherClusters(complete=False), 1, NEW, False),
        (OtherClusters(), 1, OLD, False),
    ],
    ids=["room", "room for two", "taken since", "none allowed", "others not known", "for another revision"],
)
def test_a_grant_is_examined_again_before_it_is_used(
    others: OtherClusters, most: int, revision: str, *, begins: bool
) -> None:
    """Between grant and begin a person may have begun a rollout, or the operator was restarted."""
    turn = next_turn(cluster(), NEW, Slot(SlotState.GRANTED, revision, NOW), others, most, NOW)
    assert turn.begins is begins


@pytest.mark.parametrize("state", [SlotState.HELD, SlotState.RELEASED])
def test_a_rollout_that_has_begun_goes_on_whatever_others_do(state: SlotState) -> None:
    """It is not stopped half-way."""
    others = OtherClusters(("x", "y"), complete=False)
    assert next_turn(cluster(), NEW, Slot(state, NEW, NOW), others, 1, NOW).begins


def test_a_priority_that_is_no_number_is_told() -> None:
    """It counts as 0."""
    turn = next_turn(cluster("high"), NEW, None, OtherClusters(("x",)), 1, NOW)
    assert turn.slot is not None
    assert "annotation realtime.dev/rollout-priority is 'high': write a whole number" in turn.slot.message
    assert turn.request is not None
    assert turn.request.priority == 0


def test_messages_name_five_clusters_at_most() -> None:
    """A status stays small in a large fleet."""
    others = OtherClusters(tuple(f"x/{number}" for number in range(9)))
    turn = next_turn(cluster(), NEW, None, others, 9, NOW)
    assert turn.slot is not None
    turn = next_turn(cluster(), NEW, None, others, 3, NOW)
    assert turn.slot is not None
    assert turn.slot.held_by == ("x/0", "x/1", "x/2", "x/3", "x/4")
    assert turn.slot.message.endswith("running: x/0, x/1, x/2, x/3, x/4 and 4 more")


HELD: JsonObject = {"rolloutSlot": {"state": "Held", "since": "2026-11-29T00:00:00Z"}}
ROLLING: JsonObject = {"targetRevision": NEW, "currentRevision": OLD}


@pytest.mark.parametrize(
    ("status", "pods", "expected"),
    [
        ({**ROLLING, **HELD}, (1, 1), True),
        ({**ROLLING, "rolloutSlot": {"state": "Released"}}, (1, 1), False),
        ({**ROLLING, "rolloutSlot": {"state": "WaitingForSlot"}}, (1, 1), False),
        (ROLLING, (1, 1), True),
        ({**ROLLING, "currentRevision": NEW}, (0, 1), False),
        ({"targetRevision": NEW}, (0, 1), False),
        (None, (1, 1), True),
        (None, (0, 1), False),
        ({**HELD, "conditions": [{"type": "Accepted", "status": "False"}]}, (1, 1), False),
    ],
    ids=["held", "released", "waits again", "its slot was removed", "done", "being created", "its status was removed",
         "its status was removed at rest", "its spec is refused"],
)  # fmt: skip
def test_what_takes_up_a_slot(status: JsonObject | None, pods: tuple[int, int], *, expected: bool) -> None:
    """By the status, and by the pods where there is none."""
    children = [replica_set(OLD, pods[0]), replica_set(NEW, pods[1])]
    assert slots.holds_slot(document(status=status), children) is expected


def test_who_is_paused_or_leaves_takes_up_none() -> None:
    """Also before the operator has noticed."""
    held = document(status=HELD)
    assert slots.holds_slot(held, ())
    assert not slots.holds_slot({**held, "spec": {"paused": True}}, ())
    leaving = {**object_at(held, "metadata"), "deletionTimestamp": "2026-11-29T00:00:00Z"}
    assert not slots.holds_slot({**held, "metadata": leaving}, ())


@given(st.sampled_from(SlotState), st.none() | st.integers(1, 9), st.sampled_from(((), ("team/x",))))
def test_a_slot_is_read_as_it_was_written(state: SlotState, position: int | None, holders: tuple[str, ...]) -> None:
    """As far as decisions need it."""
    written = slots.to_status(Slot(state, NEW, NOW, position, holders))
    assert read_slot({"rolloutSlot": written}) == Slot(state, NEW, NOW)
    assert read_slot({"rolloutSlot": {**written, "state": "Unheard"}}) is None


@dataclass
class Member:
    """A cluster of the model. `operators` is True while its rollout was begun by the operator."""

    name: str
    current: str = OLD
    target: str = OLD
    status: JsonObject | None = None
    paused: bool = False
    overdue: bool = False
    operators: bool = False
    resumed: bool = False
    pending: tuple[Slot | None, bool] | None = None

    @property
    def rolls(self) -> bool:
        """True while servers of two revisions run."""
        return self.current != self.target

    @property
    def active(self) -> bool:
        """True while its rollout takes up a slot."""
        return self.rolls and not self.paused and not self.overdue

    def stored(self) -> tuple[JsonObject, list[JsonObject]]:
        """Return what the API server has of it."""
        spec: JsonObject = {"paused": self.paused}
        pods = [replica_set(self.current, 1), *([replica_set(self.target, 1)] if self.rolls else [])]
        return {**document(self.name, self.status), "spec": spec}, pods


members = st.sampled_from(NAMES)
OUTCOMES = ("written", "written", "written", "refused", "answer lost", "nothing written, answer lost")


class SharedSlots(RuleBasedStateMachine):
    """All orders of decisions, writes, lost writes, restarts, edits and ends of rollouts in one fleet."""

    @initialize(most=st.integers(1, 2))
    def start(self, most: int) -> None:
        """Begin after an upgrade: every cluster runs what the former release has made."""
        self.most = most
        self.members = {name: Member(name) for name in NAMES}
        for member in self.members.values():
            self._write(member, None)
        self.restart(known=True)

    def restart(self, *, known: bool) -> None:
        """Another process leads, with nothing in memory; what was decided and not written is gone.

        `known`: it has read every cluster once.
        """
        self.queue = RolloutQueue(lambda: [member.stored() for member in self.members.values()])
        for member in self.members.values():
            member.pending = None
            if known:
                self.queue.reconciled(Key("team", member.name), failed=False)

    @rule(name=members)
    def decide(self, name: str) -> None:
        """Reconcile up to the write of the status, which comes later, among steps of other clusters."""
        member, key = self.members[name], Key("team", name)
        if member.pending is not None:
            return
        others, prior = self.queue.others(key), read_slot(member.status or {})
        turn = slots.NO_ROLLOUT
        if not member.paused and not member.rolls and member.current != NEW:
            turn = next_turn(cluster(), NEW, prior, others, self.most, NOW)
        self.queue.note(key, turn)
        if turn.begins:
            running = [other for other in self.members.values() if other.active]
            assert len(running) < self.most, f"{name} begins beside {running}"
            member.target, member.operators, member.resumed = NEW, True, False
        slot = turn.slot
        if member.rolls:
            slot = slots.running_slot(prior, member.target, NOW, stopped=member.paused or member.overdue)
        member.pending = (slot, turn.begins)

    @rule(name=members, outcome=st.sampled_from(OUTCOMES))
    def write(self, name: str, outcome: str) -> None:
        """Write the status of the last decision."""
        member, key = self.members[name], Key("team", name)
        if member.pending is None:
            return
        if outcome in {"written", "answer lost"}:
            self._write(member, member.pending[0])
        member.pending = None
        lost = outcome.endswith("answer lost")
        if not lost:
            self.queue.stored(key)
        self.queue.reconciled(key, failed=lost)

    @rule(name=members)
    def reconcile(self, name: str) -> None:
        """Decide and write without an interruption."""
        self.decide(name)
        self.write(name, "written")

    @rule(name=members, what=st.sampled_from(["finish", "finish", "edit", "pause", "lose status", "age", "restart"]))
    def disturb(self, name: str, what: str) -> None:
        """Let something else happen."""
        member = self.members[name]
        match what:
            case "finish":
                self._finish(member)
            case "edit":
                self._edit(member)
            case "pause":
                self._pause(member)
            case "lose status":
                self._lose_status(member)
            case "age":
                self._age(member)
            case _:
                self.restart(known=name == NAMES[0])

    @invariant()
    def never_more_than_allowed(self) -> None:
        """Those that a person has resumed aside, the operator's rollouts are as many as allowed at most."""
        ours = [m for m in self.members.values() if m.active and m.operators and not m.resumed]
        assert len(ours) <= self.most

    def _finish(self, member: Member) -> None:
        """The rollout of a cluster is complete."""
        if member.active and member.pending is None:
            member.current, member.operators, member.resumed = member.target, False, False
            self._write(member, None)

    def _edit(self, member: Member) -> None:
        """A person changes the spec: the rollout begins at once."""
        if not member.rolls and member.pending is None and not member.paused:
            member.target = f"edit-of-{member.current}"
            self._write(member, Slot(SlotState.HELD, member.target, NOW))

    def _pause(self, member: Member) -> None:
        """A person pauses the cluster, or ends the pause."""
        member.resumed = member.resumed or member.paused
        member.paused = not member.paused

    def _lose_status(self, member: Member) -> None:
        """Somebody removes the status."""
        member.status = None

    def _age(self, member: Member) -> None:
        """The rollout does not get on for too long, and the operator notes it."""
        if member.active and member.pending is None:
            member.overdue = True
            self._write(member, Slot(SlotState.RELEASED, member.target, NOW))

    def _write(self, member: Member, slot: Slot | None) -> None:
        entry: JsonObject = {} if slot is None else {"rolloutSlot": slots.to_status(slot)}
        member.status = {"targetRevision": member.target, "currentRevision": member.current, **entry}


TestSharedSlots = SharedSlots.TestCase
TestSharedSlots.settings = settings(max_examples=300, stateful_step_count=40)


@given(st.permutations(NAMES), st.integers(1, 3), st.dictionaries(members, st.integers(-1, 1)))
def test_everybody_gets_a_turn_and_the_highest_first(order: list[str], most: int, priorities: dict[str, int]) -> None:
    """However the reconciles are ordered, each cluster is rolled once, and none before those of a higher priority."""
    fleet = {name: Member(name, status={"targetRevision": OLD, "currentRevision": OLD}) for name in NAMES}
    queue, begun = RolloutQueue(lambda: [member.stored() for member in fleet.values()]), list[str]()
    for _ in range(6 * len(NAMES)):
        for name in order:
            member, key = fleet[name], Key("team", name)
            if member.rolls:
                member.current, member.status = NEW, {"targetRevision": NEW, "currentRevision": NEW}
            turn = slots.NO_ROLLOUT
            if member.current != NEW:
                asking = RealtimeCluster.from_object(document(name, priority=str(priorities.get(name, 0))))
                prior = read_slot(member.status or {})
                turn = next_turn(asking, NEW, prior, queue.others(key), most, NOW)
            queue.note(key, turn)
            if turn.begins:
                member.target = NEW
                begun.append(name)
            slot = Slot(SlotState.HELD, NEW, NOW) if member.rolls else turn.slot
            entry: JsonObject = {} if slot is None else {"rolloutSlot": slots.to_status(slot)}
            member.status = {"targetRevision": member.target, "currentRevision": member.current, **entry}
            queue.stored(key)
            queue.reconciled(key, failed=False)
    assert sorted(begun) == sorted(NAMES)
    ranks = [(-priorities.get(name, 0), name) for name in begun]
    first = sorted(ranks)
    assert all(first.index(rank) < place + most for place, rank in enumerate(ranks))
