"""The tables of the state, as they came to be. A step that was released is never changed.

What is shown of a log is counted when it is written, by triggers: whoever looks reads one row, however long the log has
been followed, and no path that writes can forget to count. `disordered` says that a log has signed a smaller tree later
than a larger one: as long as it has not, each head stands between its two neighbours in size and in time, and whether
one more does is seen from these two alone. A head in `unread` is `settled` there when its tree is: what nobody's data
settle, however much that is, costs a look nothing. What was found unreadable before `unreadable` was kept is taken to
stand in every log that was judged by then.
"""

MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE observation (
        seq INTEGER PRIMARY KEY, origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
        note BLOB NOT NULL, raw BLOB NOT NULL, complete INTEGER NOT NULL, digest BLOB NOT NULL,
        source TEXT NOT NULL, received_ms INTEGER NOT NULL, previous BLOB NOT NULL, hash BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX observation_digest ON observation (origin, digest);
    CREATE TABLE head (
        origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, state TEXT NOT NULL,
        first_seq INTEGER NOT NULL, PRIMARY KEY (origin, size, root)
    ) STRICT;
    CREATE INDEX head_open ON head (origin, size) WHERE state IN ('open', 'convicted');
    CREATE TABLE head_time (
        origin TEXT NOT NULL, type INTEGER NOT NULL, time_ms INTEGER NOT NULL, size INTEGER NOT NULL,
        seq INTEGER NOT NULL, PRIMARY KEY (origin, type, time_ms, size, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX head_time_size ON head_time (origin, type, size, time_ms, seq);
    CREATE TABLE verified (
        origin TEXT PRIMARY KEY, size INTEGER NOT NULL, frontier BLOB NOT NULL, seq INTEGER NOT NULL,
        verified_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE witness (
        origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL
    ) STRICT;
    CREATE TABLE own_time (origin TEXT PRIMARY KEY, time_s INTEGER NOT NULL) STRICT;
    CREATE TABLE cosigned (
        origin TEXT NOT NULL, witness TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
        time_s INTEGER NOT NULL, note BLOB NOT NULL, PRIMARY KEY (origin, witness)
    ) STRICT;
    CREATE TABLE evidence (
        id BLOB PRIMARY KEY, kind TEXT NOT NULL, origin TEXT NOT NULL, object BLOB NOT NULL,
        found_ms INTEGER NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE action (
        genesis BLOB NOT NULL, hash BLOB NOT NULL, chain TEXT NOT NULL, seq INTEGER NOT NULL, note BLOB NOT NULL,
        proof BLOB NOT NULL, source TEXT NOT NULL, received_ms INTEGER NOT NULL, PRIMARY KEY (genesis, hash)
    ) STRICT;
    CREATE TABLE holding (origin TEXT PRIMARY KEY, count INTEGER NOT NULL, seen_ms INTEGER NOT NULL) STRICT;
    CREATE TABLE carried (
        origin TEXT NOT NULL, action BLOB NOT NULL, carried_ms INTEGER NOT NULL, PRIMARY KEY (origin, action)
    ) STRICT;
    """,
    """
    CREATE TABLE alert (
        seq INTEGER PRIMARY KEY, key TEXT NOT NULL, class TEXT NOT NULL, severity TEXT NOT NULL,
        subject TEXT NOT NULL, code TEXT NOT NULL, text TEXT NOT NULL, detail TEXT NOT NULL,
        raised_ms INTEGER NOT NULL, ended_ms INTEGER, acknowledged_by TEXT
    ) STRICT;
    CREATE UNIQUE INDEX alert_lasting ON alert (key) WHERE ended_ms IS NULL;
    CREATE TABLE outbox (
        alert INTEGER NOT NULL, channel TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
        next_ms INTEGER NOT NULL, PRIMARY KEY (alert, channel)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX outbox_waiting ON outbox (channel, alert) WHERE state != 'sent';
    CREATE TABLE fault (
        key TEXT NOT NULL, source TEXT NOT NULL, since_ms INTEGER NOT NULL, times INTEGER NOT NULL,
        PRIMARY KEY (key, source)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE clock (boot_id TEXT PRIMARY KEY, wall_ms INTEGER NOT NULL, monotonic_ms INTEGER NOT NULL) STRICT;
    """,
    """
    CREATE TABLE peer (vkey TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
    CREATE TABLE relayed (vkey TEXT NOT NULL, id BLOB NOT NULL, PRIMARY KEY (vkey, id)) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE charge (
        origin TEXT NOT NULL, kind TEXT NOT NULL, about TEXT NOT NULL, evidence BLOB NOT NULL,
        PRIMARY KEY (origin, kind, about)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE vouching (
        origin TEXT NOT NULL, witness TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
        time_s INTEGER NOT NULL, note BLOB NOT NULL, PRIMARY KEY (origin, witness, size, root)
    ) STRICT;
    """,
    """
    CREATE TABLE promise (
        id BLOB PRIMARY KEY, origin TEXT NOT NULL, leaf_index INTEGER NOT NULL, time_ms INTEGER NOT NULL,
        sct BLOB NOT NULL, leaf BLOB NOT NULL, received_ms INTEGER NOT NULL, state TEXT NOT NULL
    ) STRICT;
    CREATE INDEX promise_open ON promise (origin, leaf_index) WHERE state IN ('open', 'late');
    """,
    """
    CREATE TABLE judged (
        origin TEXT PRIMARY KEY, size INTEGER NOT NULL, time_ms INTEGER NOT NULL, judged_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE issued (
        origin TEXT NOT NULL, idx INTEGER NOT NULL, fingerprint BLOB NOT NULL, serial_key BLOB NOT NULL,
        fold BLOB NOT NULL, time_ms INTEGER NOT NULL, signs INTEGER NOT NULL, PRIMARY KEY (origin, idx)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX issued_fingerprint ON issued (fingerprint);
    CREATE INDEX issued_serial ON issued (serial_key);
    CREATE INDEX issued_fold ON issued (fold);
    CREATE TABLE first_use (
        fingerprint BLOB PRIMARY KEY, at_ms INTEGER NOT NULL, origin TEXT NOT NULL, idx INTEGER NOT NULL,
        leaf_ms INTEGER NOT NULL, settled INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX first_use_open ON first_use (leaf_ms) WHERE settled = 0;
    CREATE TABLE finding (
        seq INTEGER PRIMARY KEY, code TEXT NOT NULL, about BLOB NOT NULL, severity TEXT NOT NULL, class TEXT NOT NULL,
        fingerprint BLOB NOT NULL, issuer BLOB NOT NULL, origin TEXT NOT NULL, idx INTEGER NOT NULL,
        leaf_ms INTEGER NOT NULL, text TEXT NOT NULL, evidence TEXT NOT NULL, produced TEXT NOT NULL,
        found_ms INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX finding_one ON finding (code, about);
    CREATE INDEX finding_code ON finding (code, seq);
    """,
    """
    CREATE TABLE tally (
        origin TEXT PRIMARY KEY, observations INTEGER NOT NULL, open INTEGER NOT NULL, disordered INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO tally SELECT origin, count(*), 0, 0 FROM observation GROUP BY origin;
    UPDATE tally SET open =
        (SELECT count(*) FROM head WHERE head.origin = tally.origin AND state IN ('open', 'convicted'));
    UPDATE tally SET disordered = 1 WHERE origin IN (SELECT origin FROM (
        SELECT origin, min(time_ms) AS first,
            lag(max(time_ms)) OVER (PARTITION BY origin, type ORDER BY size) AS last
        FROM head_time GROUP BY origin, type, size) WHERE last > first);
    CREATE TRIGGER observation_counted AFTER INSERT ON observation BEGIN
        INSERT OR IGNORE INTO tally VALUES (new.origin, 0, 0, 0);
        UPDATE tally SET observations = observations + 1 WHERE origin = new.origin;
    END;
    CREATE TRIGGER head_counted AFTER INSERT ON head WHEN new.state IN ('open', 'convicted') BEGIN
        UPDATE tally SET open = open + 1 WHERE origin = new.origin;
    END;
    CREATE TRIGGER head_settled AFTER UPDATE OF state ON head BEGIN
        UPDATE tally SET open = open + (new.state IN ('open', 'convicted')) - (old.state IN ('open', 'convicted'))
            WHERE origin = new.origin;
    END;
    CREATE TRIGGER head_time_ordered AFTER INSERT ON head_time BEGIN
        UPDATE tally SET disordered = 1 WHERE origin = new.origin AND (
            new.time_ms < (SELECT time_ms FROM head_time WHERE origin = new.origin AND type = new.type
                AND size < new.size ORDER BY size DESC, time_ms DESC LIMIT 1)
            OR new.time_ms > (SELECT time_ms FROM head_time WHERE origin = new.origin AND type = new.type
                AND size > new.size ORDER BY size, time_ms LIMIT 1));
    END;
    CREATE TABLE finding_tally (code TEXT PRIMARY KEY, findings INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO finding_tally SELECT code, count(*) FROM finding GROUP BY code;
    CREATE TRIGGER finding_counted AFTER INSERT ON finding BEGIN
        INSERT OR IGNORE INTO finding_tally VALUES (new.code, 0);
        UPDATE finding_tally SET findings = findings + 1 WHERE code = new.code;
    END;
    CREATE INDEX observation_origin ON observation (origin);
    CREATE INDEX head_time_seq ON head_time (seq);
    CREATE INDEX evidence_origin ON evidence (origin, kind);
    """,
    """
    CREATE TABLE latest_leaf (
        origin TEXT NOT NULL, size INTEGER NOT NULL, time_ms INTEGER NOT NULL, idx INTEGER NOT NULL,
        PRIMARY KEY (origin, size)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE unread (
        origin TEXT NOT NULL, size INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (origin, size, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE brought (
        origin TEXT NOT NULL, day INTEGER NOT NULL, heads INTEGER NOT NULL, PRIMARY KEY (origin, day)
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER brought_counted AFTER INSERT ON observation WHEN new.source = 'pollination' BEGIN
        INSERT OR IGNORE INTO brought VALUES (new.origin, new.received_ms / 86400000, 0);
        UPDATE brought SET heads = heads + 1 WHERE origin = new.origin AND day = new.received_ms / 86400000;
        DELETE FROM brought WHERE origin = new.origin AND day < new.received_ms / 86400000 - 7;
    END;
    CREATE TABLE last_brought (
        origin TEXT PRIMARY KEY, raw BLOB NOT NULL, received_ms INTEGER NOT NULL
    ) STRICT;
    """,
    """
    CREATE INDEX head_apart ON head (origin, size) WHERE state IN ('refuted', 'convicted');
    """,
    """
    CREATE TABLE branch (
        origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, name TEXT NOT NULL, read INTEGER,
        tried_ms INTEGER NOT NULL, judged INTEGER NOT NULL, PRIMARY KEY (origin, size, root)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE branch_entry (
        origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, idx INTEGER NOT NULL,
        time_ms INTEGER NOT NULL, fingerprint BLOB NOT NULL, fold BLOB NOT NULL, issuer BLOB NOT NULL,
        PRIMARY KEY (origin, size, root, idx)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE unread ADD COLUMN root BLOB NOT NULL DEFAULT x'';
    ALTER TABLE unread ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
    UPDATE unread SET root = (SELECT root FROM observation WHERE observation.seq = unread.seq);
    UPDATE unread SET settled = 1 WHERE EXISTS (SELECT 1 FROM head WHERE head.origin = unread.origin
        AND head.size = unread.size AND head.root = unread.root AND state IN ('agreed', 'refuted'));
    CREATE INDEX unread_settled ON unread (origin, size, seq) WHERE settled = 1;
    CREATE INDEX unread_waiting ON unread (origin, size, root) WHERE settled = 0;
    CREATE TRIGGER unread_ready AFTER UPDATE OF state ON head WHEN new.state IN ('agreed', 'refuted') BEGIN
        UPDATE unread SET settled = 1
            WHERE origin = new.origin AND size = new.size AND root = new.root AND settled = 0;
    END;
    """,
    """
    CREATE TABLE heeded (
        vkey TEXT NOT NULL, origin TEXT NOT NULL, whole INTEGER NOT NULL, PRIMARY KEY (vkey, origin)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE reread (vkey TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
    """,
    """
    CREATE TABLE halfway (
        origin TEXT PRIMARY KEY, begun INTEGER NOT NULL, size INTEGER NOT NULL, frontier BLOB NOT NULL,
        goal INTEGER NOT NULL, kept_ms INTEGER NOT NULL, idx INTEGER, time_ms INTEGER, leaf BLOB
    ) STRICT;
    CREATE TABLE passed_root (
        origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, PRIMARY KEY (origin, size)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE passed_leaf (
        origin TEXT NOT NULL, size INTEGER NOT NULL, time_ms INTEGER NOT NULL, idx INTEGER NOT NULL,
        PRIMARY KEY (origin, size)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE unreadable (
        origin TEXT NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (origin, digest)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO unreadable SELECT judged.origin, finding.about FROM judged, finding
        WHERE finding.code = 'UNPARSABLE' AND json_extract(finding.evidence, '$.begins') IS NOT NULL;
    """,
    """
    DROP TABLE last_brought;
    CREATE TABLE spare (
        origin TEXT NOT NULL, type INTEGER NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, last INTEGER NOT NULL,
        time_ms INTEGER NOT NULL, note BLOB NOT NULL, received_ms INTEGER NOT NULL,
        PRIMARY KEY (origin, type, size, root, last)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE INDEX head_announced ON head (origin, size) WHERE state IN ('open', 'agreed');
    """,
    """
    CREATE TABLE missed (
        origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, seq INTEGER NOT NULL, at INTEGER,
        frontier BLOB NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE away (
        origin TEXT NOT NULL, witness TEXT NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (origin, witness)
    ) STRICT, WITHOUT ROWID;
    """,
)
