-- One row per room. Kept when its records are trimmed, so that no number is given twice.
CREATE TABLE room (
    id      INTEGER PRIMARY KEY,
    name    TEXT    NOT NULL UNIQUE,
    epoch   BLOB    NOT NULL,  -- 16 bytes, big-endian
    head    INTEGER NOT NULL,  -- the newest record
    floor   INTEGER NOT NULL,  -- records up to here are forgotten, also where rows still exist
    last_ts INTEGER NOT NULL   -- milliseconds since the Unix epoch
) STRICT;

-- Without rowid: the last records of a room lie side by side.
CREATE TABLE message (
    room_id  INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    ts       INTEGER NOT NULL,
    sender   TEXT    NOT NULL,
    cid      TEXT,
    body     TEXT    NOT NULL,
    checksum INTEGER NOT NULL,  -- over room name, epoch and all the other columns
    PRIMARY KEY (room_id, seq)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX message_cid ON message (room_id, sender, cid) WHERE cid IS NOT NULL;

CREATE TABLE document (
    key      TEXT    PRIMARY KEY,
    value    BLOB    NOT NULL,
    checksum INTEGER NOT NULL  -- over key and value
) STRICT, WITHOUT ROWID;

-- A row to write when nothing but the ability to write is asked for.
CREATE TABLE probe (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;

INSERT INTO probe (id, count) VALUES (1, 0);
