-- Entries that are no messages, and what they make of messages and rooms. The rows of messages stay as
-- they are: what is NULL in all of the new columns has the checksum that it had before.
ALTER TABLE message ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;  -- 0 message, 1 edit, 2 delete, 3 reaction,
                                                                 -- 4 pin, 5 settings, 6 role
ALTER TABLE message ADD COLUMN target INTEGER;    -- what a message answers, or an entry changes
ALTER TABLE message ADD COLUMN thread INTEGER;    -- the first message of the thread
ALTER TABLE message ADD COLUMN mentions TEXT;     -- JSON; NULL for none
ALTER TABLE message ADD COLUMN active INTEGER;    -- of reactions and pins
ALTER TABLE message ADD COLUMN count INTEGER;     -- of reactions: how many there were then
ALTER TABLE message ADD COLUMN edited INTEGER;    -- the entry that the text is from
ALTER TABLE message ADD COLUMN deleted INTEGER;   -- the entry that erased the text
ALTER TABLE message ADD COLUMN digest INTEGER;    -- of what was said first, once that is gone

CREATE INDEX message_thread ON message (room_id, thread, seq) WHERE thread IS NOT NULL;
CREATE INDEX message_reaction ON message (room_id, target) WHERE kind = 3;

ALTER TABLE room ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;  -- messages up to here can be found

CREATE INDEX room_unindexed ON room (id) WHERE indexed < head;

-- The reactions that are on, and the entries that did it.
CREATE TABLE reaction (
    room_id  INTEGER NOT NULL,
    target   INTEGER NOT NULL,
    emoji    TEXT    NOT NULL,
    sender   TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (room_id, target, emoji, sender)
) STRICT, WITHOUT ROWID;

-- What the entries have made of a room: title, topic, private, role:<user>, pin:<seq>.
CREATE TABLE state (
    room_id  INTEGER NOT NULL,
    key      TEXT    NOT NULL,
    value    TEXT    NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (room_id, key)
) STRICT, WITHOUT ROWID;

-- The cids of rows that were trimmed.
CREATE TABLE cid_memory (
    room_id INTEGER NOT NULL,
    sender  TEXT    NOT NULL,
    cid     TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    ts      INTEGER NOT NULL,
    digest  INTEGER NOT NULL,
    expires INTEGER NOT NULL,  -- milliseconds since the Unix epoch
    PRIMARY KEY (room_id, sender, cid)
) STRICT, WITHOUT ROWID;

CREATE INDEX cid_memory_expires ON cid_memory (expires);

-- Where the words of a message are in `word`; a later message has a larger id.
CREATE TABLE indexed (
    id      INTEGER PRIMARY KEY,
    room_id INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    UNIQUE (room_id, seq)
) STRICT;

-- The words come in lower case and separated by spaces; `ascii` leaves all others as they are. It holds
-- no texts, and forgets the words of what is deleted at once.
CREATE VIRTUAL TABLE word USING fts5 (words, content = '', detail = none, tokenize = 'ascii');
INSERT INTO word (word, rank) VALUES ('secure-delete', 1);

-- The epoch of a room is its own XOR the generation, so that one write changes all.
CREATE TABLE lineage (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    generation BLOB NOT NULL,  -- 16 bytes, big-endian
    mark       BLOB            -- the same as in the file beside the database
) STRICT;

INSERT INTO lineage (id, generation) VALUES (1, zeroblob(16));
