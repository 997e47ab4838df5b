-- One row. The epoch of a room is its own XOR the generation, so that one write changes all (P10).
CREATE TABLE lineage (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    generation BLOB    NOT NULL,  -- 16 bytes, big-endian
    mark       BLOB,              -- the same as in the file beside the database
    indexed    INTEGER NOT NULL   -- messages up to this arrival can be searched
) STRICT;

INSERT INTO lineage (id, generation, indexed) VALUES (1, zeroblob(16), 0);

-- kind: 0 message, 1 edit, 2 delete, 3 reaction, 4 pin, 5 settings, 6 role.
-- body: the text of a message or edit, an emoji, or JSON of settings or a role; empty once erased.
ALTER TABLE message ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN target INTEGER;   -- what a message answers, or what an entry changes
ALTER TABLE message ADD COLUMN thread INTEGER;
ALTER TABLE message ADD COLUMN mentions TEXT;    -- JSON
ALTER TABLE message ADD COLUMN active INTEGER;   -- of reactions and pins
ALTER TABLE message ADD COLUMN count INTEGER;    -- of reactions
ALTER TABLE message ADD COLUMN edited INTEGER;
ALTER TABLE message ADD COLUMN deleted INTEGER;
ALTER TABLE message ADD COLUMN digest BLOB;      -- of what was first said under the cid
ALTER TABLE message ADD COLUMN arrival INTEGER;  -- of messages; not in the checksum

CREATE INDEX message_thread ON message (room_id, thread, seq) WHERE thread IS NOT NULL;
CREATE INDEX message_change ON message (room_id, target) WHERE kind IN (1, 3);

-- Messages of all rooms in the order in which they came; the number is that of the search index.
CREATE TABLE arrival (
    id      INTEGER PRIMARY KEY,
    room_id INTEGER NOT NULL,
    seq     INTEGER NOT NULL
) STRICT;

INSERT INTO arrival (room_id, seq) SELECT room_id, seq FROM message ORDER BY ts, room_id, seq;
CREATE TEMP TABLE number AS SELECT id, room_id, seq FROM arrival;
CREATE INDEX temp.number_place ON number (room_id, seq);
UPDATE message SET arrival = (
    SELECT id FROM temp.number AS n WHERE n.room_id = message.room_id AND n.seq = message.seq
);
DROP TABLE temp.number;

-- Holds the places of words and no text. What is deleted from it is overwritten at once.
CREATE VIRTUAL TABLE words USING fts5 (text, content = '', tokenize = "unicode61 remove_diacritics 0");
INSERT INTO words (words, rank) VALUES ('secure-delete', 1);

-- Who reacts how to what now; seq is the entry that did it.
CREATE TABLE reaction (
    room_id INTEGER NOT NULL,
    target  INTEGER NOT NULL,
    emoji   TEXT    NOT NULL,
    sender  TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (room_id, target, emoji, sender)
) STRICT, WITHOUT ROWID;

-- What the entries have made of a room: title, topic, private, role:<user>, pin:<seq>.
CREATE TABLE state (
    room_id INTEGER NOT NULL,
    key     TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    PRIMARY KEY (room_id, key)
) STRICT, WITHOUT ROWID;

-- The cids of records that were trimmed (P6).
CREATE TABLE cid_memory (
    room_id    INTEGER NOT NULL,
    sender     TEXT    NOT NULL,
    cid        TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    ts         INTEGER NOT NULL,
    digest     BLOB    NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (room_id, sender, cid)
) STRICT, WITHOUT ROWID;

CREATE INDEX cid_memory_expires ON cid_memory (expires_ms);
