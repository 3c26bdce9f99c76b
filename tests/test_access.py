"""Access: every role, side, action, kind of resource and setting of bodies against a table written by hand."""

import itertools

import pytest

from log.access import (
    ANONYMOUS,
    ENTRY_RULES,
    MEMBERS,
    RULES,
    Action,
    Bodies,
    Decision,
    Kind,
    Principal,
    Resource,
    Role,
    decide,
)
from log.errors import Denied, Unauthenticated

NOW_MS = 1_767_225_600_000
HERE, THERE = "hk", "gd"

# By action, kind and bodies (`*` is all three): who may. `home` is one of the node's own side, `yes` one of any side.
EXPECTED = """
                          anonymous ca   platform regulator relying-party monitor operator guard
read   status      *         yes    yes  yes      yes       yes           yes     yes      yes
read   head        *         yes    yes  yes      yes       yes           yes     yes      yes
read   hashes      *         yes    yes  yes      yes       yes           yes     yes      yes
read   proof       *         yes    yes  yes      yes       yes           yes     yes      yes
read   issuer      *         yes    yes  yes      yes       yes           yes     yes      yes
read   governance  *         yes    yes  yes      yes       yes           yes     yes      yes
read   entry       public    yes    yes  yes      yes       yes           yes     yes      yes
read   entry       members   no     yes  yes      yes       yes           yes     yes      no
read   entry       home-only no     home home     home      home          home    home     no
read   submission  *         no     no   no       no        no            no      no       no
read   open        *         no     no   no       no        no            no      no       no
read   event       *         no     no   no       no        no            no      no       no
read   record      public    no     no   no       yes       no            no      yes      no
read   record      members   no     no   no       yes       no            no      yes      no
read   record      home-only no     no   no       home      no            no      home     no
read   cosignature *         no     no   no       no        no            no      no       no
read   witness     *         yes    yes  yes      yes       yes           yes     yes      yes
read   guard       *         no     no   no       no        no            no      no       no
write  status      *         no     no   no       no        no            no      no       no
write  head        *         no     no   no       no        no            no      no       no
write  hashes      *         no     no   no       no        no            no      no       no
write  proof       *         no     no   no       no        no            no      no       no
write  issuer      *         no     no   no       no        no            no      no       no
write  governance  *         yes    yes  yes      yes       yes           yes     yes      yes
write  entry       *         no     no   no       no        no            no      no       no
write  submission  *         yes    yes  yes      yes       yes           yes     yes      yes
write  open        *         yes    yes  yes      yes       yes           yes     yes      yes
write  event       *         no     home home     no        no            no      no       no
write  record      *         no     no   no       no        no            no      no       no
write  cosignature *         yes    yes  yes      yes       yes           yes     yes      yes
write  witness     *         yes    yes  yes      yes       yes           yes     yes      yes
write  guard       *         no     no   no       no        no            no      no       yes
"""
_HEAD, *_ROWS = [line.split() for line in EXPECTED.strip().splitlines()]
TABLE = {
    (Action(action), Kind(kind), bodies): dict(zip(map(Role, _HEAD), words, strict=True))
    for action, kind, of, *words in _ROWS
    for bodies in (Bodies if of == "*" else [Bodies(of)])
}


def ask(role: Role, action: Action, kind: Kind, bodies: Bodies = Bodies.MEMBERS, side: str = HERE) -> Decision:
    principal = Principal(role, side=side if role in MEMBERS else "")
    return decide(principal, action, Resource(kind, bodies, HERE), NOW_MS)


def test_the_table_has_a_row_for_everything() -> None:
    assert set(TABLE) == set(itertools.product(Action, Kind, Bodies))
    assert {frozenset(row) for row in TABLE.values()} == {frozenset(Role)}


@pytest.mark.parametrize(("action", "kind", "bodies"), list(itertools.product(Action, Kind, Bodies)))
@pytest.mark.parametrize("side", [HERE, THERE])
def test_the_whole_table(action: Action, kind: Kind, bodies: Bodies, side: str) -> None:
    for role in Role:
        decision = ask(role, action, kind, bodies, side)
        word = TABLE[action, kind, bodies][role]
        assert decision.allowed == (word == "yes" or (word == "home" and side == HERE)), role
        assert decision.restricted == (set(TABLE[action, kind, bodies].values()) != {"yes"})


def test_a_refusal_says_by_what_one_would_be_let_in() -> None:
    read = ask(Role.ANONYMOUS, Action.READ, Kind.RECORD).reason
    assert read == "to read this (record) takes a bearer token or a signed request, as operator or regulator"
    write = ask(Role.ANONYMOUS, Action.WRITE, Kind.EVENT).reason
    assert write == "to write this (event) takes a signed request, as ca or platform of this node's own side"


def test_a_node_that_says_no_side_is_nobodys_home() -> None:
    for side in ("", HERE):
        principal = Principal(Role.REGULATOR, side=side)
        assert not decide(principal, Action.READ, Resource(Kind.ENTRY, Bodies.HOME_ONLY, ""), NOW_MS).allowed


def test_entries_are_for_members_of_this_side_unless_someone_says_otherwise() -> None:
    assert not decide(ANONYMOUS, Action.READ, Resource(Kind.ENTRY), NOW_MS).allowed


def test_what_the_tables_do_not_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RULES, (Action.READ, Kind.HEAD))
    monkeypatch.delitem(ENTRY_RULES, (Kind.ENTRY, Bodies.PUBLIC))
    for role in Role:
        assert not ask(role, Action.READ, Kind.HEAD).allowed
        assert not ask(role, Action.READ, Kind.ENTRY, Bodies.PUBLIC).allowed


def test_an_expired_credential_counts_for_nothing() -> None:
    for expires_ms, allowed in ((NOW_MS + 1, True), (NOW_MS, False), (None, True)):
        principal = Principal(Role.RELYING_PARTY, HERE, expires_ms)
        decision = decide(principal, Action.READ, Resource(Kind.ENTRY, Bodies.MEMBERS, HERE), NOW_MS)
        assert decision.allowed == allowed
        assert decision.unauthenticated == (not allowed)
        assert decide(principal, Action.READ, Resource(Kind.HEAD), NOW_MS).allowed


def test_who_is_unknown_is_asked_who_it_is_and_who_is_known_is_denied() -> None:
    with pytest.raises(Unauthenticated, match="regulator"):
        ask(Role.ANONYMOUS, Action.READ, Kind.ENTRY).require()
    with pytest.raises(Denied, match="own side") as denied:
        ask(Role.REGULATOR, Action.READ, Kind.ENTRY, Bodies.HOME_ONLY, THERE).require()
    assert not isinstance(denied.value, Unauthenticated)
    with pytest.raises(Denied) as nobody:
        ask(Role.ANONYMOUS, Action.WRITE, Kind.HEAD).require()
    assert not isinstance(nobody.value, Unauthenticated)  # no credential would help
    ask(Role.ANONYMOUS, Action.READ, Kind.HEAD).require()
