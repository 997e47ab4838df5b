-- Rooms, their logs, and small documents. Texts are compared by their bytes.

-- One row. The epoch of a room is its own XOR the generation, so that one write changes all (P10).
CREATE TABLE lineage (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation uuid NOT NULL,
    -- Of the database: where it differs, this is a copy, or a standby that was promoted.
    identity text
);

-- What a connection that writes has committed last: asked when its answer was lost. Rooms in the
-- order of their names with what they were before; of those that are not plain the answers, per
-- draft the outcome, and what entries were given.
CREATE TABLE writer (
    id uuid PRIMARY KEY,
    batch bigint NOT NULL DEFAULT 0,
    -- A closed writer commits nothing any more.
    closed boolean NOT NULL DEFAULT false,
    seen timestamptz NOT NULL DEFAULT now(),
    generation uuid,
    epochs uuid[],
    heads bigint[],
    times bigint[],
    plain boolean[],
    outcomes smallint[],
    entry_ts bigint[],
    seqs bigint[],
    threads bigint[],
    counts integer[]
) WITH (fillfactor = 50);

CREATE TABLE room (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    epoch uuid NOT NULL,
    head bigint NOT NULL DEFAULT 0,
    floor bigint NOT NULL DEFAULT 0,
    last_ts bigint NOT NULL,
    CHECK (0 <= floor AND floor <= head)
) WITH (fillfactor = 50);

-- kind: 0 message, 1 edit, 2 delete, 3 reaction, 4 pin, 5 settings, 6 role.
-- target: what a message replies to, or what an entry changes.
-- body: text or emoji, or JSON of settings or a role; mentions: JSON.
CREATE TABLE message (
    room_id bigint NOT NULL,
    seq bigint NOT NULL,
    ts bigint NOT NULL,
    sender text COLLATE "C" NOT NULL,
    cid text COLLATE "C",
    kind smallint NOT NULL,
    target bigint,
    thread bigint,
    body text COLLATE "C",
    mentions text COLLATE "C",
    active boolean,
    count integer,
    edited bigint,
    deleted bigint,
    -- Of what was said at first, which decides about duplicates; gone once it is erased.
    digest bigint,
    -- What is searched; empty for all that is not to be found.
    words tsvector,
    checksum bytea NOT NULL,
    PRIMARY KEY (room_id, seq)
);

CREATE UNIQUE INDEX message_cid ON message (room_id, sender, cid) WHERE cid IS NOT NULL;
CREATE INDEX message_thread ON message (room_id, thread, seq) WHERE thread IS NOT NULL;
CREATE INDEX message_reaction ON message (room_id, target) WHERE kind = 3;
-- New words are gathered before they are sorted in; a larger heap would make one append wait long.
CREATE INDEX message_words ON message USING gin (words) WITH (gin_pending_list_limit = 512)
    WHERE words IS NOT NULL;

-- Who reacts how to what now; seq is the entry that did it.
CREATE TABLE reaction (
    room_id bigint NOT NULL,
    target bigint NOT NULL,
    emoji text COLLATE "C" NOT NULL,
    sender text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (room_id, target, emoji, sender)
);

-- What the entries have made of a room: title, topic, private, role:<user>, pin:<seq>.
CREATE TABLE state (
    room_id bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_id, key)
);

-- The cids of records that were trimmed (P6).
CREATE TABLE cid_memory (
    room_id bigint NOT NULL,
    sender text COLLATE "C" NOT NULL,
    cid text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    ts bigint NOT NULL,
    digest bigint,
    expires timestamptz NOT NULL,
    PRIMARY KEY (room_id, sender, cid)
);

CREATE INDEX cid_memory_expires ON cid_memory (expires);

CREATE TABLE document (
    key text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL,
    checksum bytea NOT NULL
);

-- Written by a check, to see that commits pass.
CREATE TABLE probe (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    count bigint NOT NULL DEFAULT 0
);
INSERT INTO probe DEFAULT VALUES;
