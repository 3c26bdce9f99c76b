"""Access: every role, action and kind of resource against a table written by hand."""

import itertools

import pytest

from log.access import ANONYMOUS, RULES, Action, Bodies, Decision, Kind, Principal, Resource, Role, decide
from log.errors import Denied, Unauthenticated

NOW_MS = 1_767_225_600_000

# By action and kind: may an anonymous caller, a reader, a guard, the operator?
EXPECTED = """
read   status       yes yes yes yes
read   head         yes yes yes yes
read   hashes       yes yes yes yes
read   proof        yes yes yes yes
read   issuer       yes yes yes yes
read   trust-list   yes yes yes yes
read   governance   yes yes yes yes
read   entry        no  yes yes yes
read   submission   no  no  no  no
read   open         no  no  no  no
read   cosignature  no  no  no  no
read   witness      yes yes yes yes
read   guard        no  no  no  no
read   admin        no  no  no  yes
write  status       no  no  no  no
write  head         no  no  no  no
write  hashes       no  no  no  no
write  proof        no  no  no  no
write  issuer       no  no  no  no
write  trust-list   no  no  no  no
write  governance   yes yes yes yes
write  entry        no  no  no  no
write  submission   yes yes yes yes
write  open         yes yes yes yes
write  cosignature  yes yes yes yes
write  witness      yes yes yes yes
write  guard        no  no  yes no
write  admin        no  no  no  yes
"""
TABLE = {
    (Action(action), Kind(kind)): dict(zip(Role, (word == "yes" for word in words), strict=True))
    for action, kind, *words in map(str.split, EXPECTED.strip().splitlines())
}


def ask(role: Role, action: Action, kind: Kind, bodies: Bodies = Bodies.TOKEN) -> Decision:
    return decide(Principal(role), action, Resource(kind, bodies), NOW_MS)


@pytest.mark.parametrize(("action", "kind", "role"), list(itertools.product(Action, Kind, Role)))
def test_the_whole_table(action: Action, kind: Kind, role: Role) -> None:
    assert ask(role, action, kind).allowed == TABLE[action, kind][role]


def test_public_bodies_open_entries_and_nothing_else() -> None:
    for action, kind, role in itertools.product(Action, Kind, Role):
        opened = ask(role, action, kind, Bodies.PUBLIC)
        if (action, kind) == (Action.READ, Kind.ENTRY):
            assert (opened.allowed, opened.restricted) == (True, False)
        else:
            assert opened == ask(role, action, kind)


def test_entries_are_for_token_holders_unless_someone_says_otherwise() -> None:
    assert not decide(ANONYMOUS, Action.READ, Resource(Kind.ENTRY), NOW_MS).allowed


def test_what_the_table_does_not_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RULES, (Action.READ, Kind.HEAD))
    for role in Role:
        assert not ask(role, Action.READ, Kind.HEAD).allowed


def test_an_expired_credential_counts_for_nothing() -> None:
    for expires_ms, allowed in ((NOW_MS + 1, True), (NOW_MS, False), (None, True)):
        principal = Principal(Role.READER, "bank", expires_ms)
        decision = decide(principal, Action.READ, Resource(Kind.ENTRY), NOW_MS)
        assert decision.allowed == allowed
        assert decision.unauthenticated == (not allowed)
        assert decide(principal, Action.READ, Resource(Kind.HEAD), NOW_MS).allowed


def test_answers_that_not_everybody_gets_are_restricted() -> None:
    assert ask(Role.READER, Action.READ, Kind.ENTRY).restricted
    assert ask(Role.OPERATOR, Action.READ, Kind.ADMIN).restricted
    assert not ask(Role.READER, Action.READ, Kind.HEAD).restricted


def test_who_is_unknown_is_asked_who_it_is_and_who_is_known_is_denied() -> None:
    with pytest.raises(Unauthenticated, match="reader"):
        ask(Role.ANONYMOUS, Action.READ, Kind.ENTRY).require()
    with pytest.raises(Denied) as denied:
        ask(Role.READER, Action.WRITE, Kind.ADMIN).require()
    assert not isinstance(denied.value, Unauthenticated)
    with pytest.raises(Denied) as nobody:
        ask(Role.ANONYMOUS, Action.WRITE, Kind.HEAD).require()
    assert not isinstance(nobody.value, Unauthenticated)  # no credential would help
    ask(Role.ANONYMOUS, Action.READ, Kind.HEAD).require()
