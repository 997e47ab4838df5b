-- Appending: one call is one transaction over many rooms.
--
-- What is called for every batch is in PL/pgSQL, which keeps its plans; only what is inlined is not.
--
-- Outcomes: 0 stored, 1 stored before, 2 conflict, 3 no target, 4 not the author, 5 exists, 6 too many,
-- 7 corrupt.

-- Returns the checksum of a row. The lengths go first: otherwise bytes could move from one field to
-- the next unseen.
CREATE FUNCTION checksum_of(
    epoch uuid, room text, seq bigint, ts bigint, kind smallint, target bigint, thread bigint,
    active boolean, count integer, edited bigint, deleted bigint, digest bigint,
    sender text, cid text, mentions text, body text
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT substring(sha256(convert_to(format(
        '%s %s %s %s %s %s %s %s %s %s %s %s %s %s %s %s ',
        epoch, octet_length(room), seq, ts, kind, target, thread, active, count, edited, deleted,
        digest, octet_length(sender), octet_length(cid), octet_length(mentions),
        octet_length(body)
    ) || room || sender || coalesce(cid, '') || coalesce(mentions, '') || coalesce(body, ''), 'UTF8'))
    FROM 1 FOR 8)
$$;

CREATE FUNCTION checksum_of(r room, m message) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT checksum_of(r.epoch, r.name, m.seq, m.ts, m.kind, m.target, m.thread, m.active, m.count,
        m.edited, m.deleted, m.digest, m.sender, m.cid, m.mentions, m.body)
$$;

-- Writes a row that has changed. Its key and its kind never do.
CREATE PROCEDURE save(r room, m message) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE message SET sender = m.sender, cid = m.cid, body = m.body, mentions = m.mentions,
        words = m.words, edited = m.edited, deleted = m.deleted, digest = m.digest,
        checksum = checksum_of(r, m)
    WHERE room_id = m.room_id AND seq = m.seq;
END $$;

-- Takes what an edit or a reaction says out of it; the entry stays.
CREATE PROCEDURE empty_entry(r room, entry bigint) LANGUAGE plpgsql AS $$
DECLARE
    m message;
BEGIN
    SELECT * INTO m FROM message WHERE room_id = r.id AND seq = entry;
    IF FOUND THEN
        m.body := CASE m.kind WHEN 3 THEN '' END;
        m.mentions := NULL;
        CALL save(r, m);
    END IF;
END $$;

-- What a call of store_entry found or did.
CREATE TYPE placed AS (refused smallint, seq bigint, ts bigint, thread bigint, count integer);

CREATE FUNCTION apply_edit(r room, m message, extra text, t message) RETURNS smallint LANGUAGE plpgsql AS $$
BEGIN
    IF t.sender <> m.sender THEN
        RETURN 4;
    END IF;
    IF t.edited IS NOT NULL THEN
        CALL empty_entry(r, t.edited);
    END IF;
    t.body := m.body;
    t.mentions := m.mentions;
    t.words := array_to_tsvector(string_to_array(extra, ' '));
    t.edited := m.seq;
    CALL save(r, t);
    RETURN 0;
END $$;

CREATE FUNCTION apply_delete(r room, m message, t message, may_moderate boolean)
RETURNS smallint LANGUAGE plpgsql AS $$
DECLARE
    entry bigint;
BEGIN
    IF t.sender <> m.sender AND NOT may_moderate THEN
        RETURN 4;
    END IF;
    IF t.edited IS NOT NULL THEN
        CALL empty_entry(r, t.edited);
    END IF;
    DELETE FROM reaction WHERE room_id = r.id AND target = t.seq;
    FOR entry IN SELECT seq FROM message WHERE room_id = r.id AND target = t.seq AND kind = 3 LOOP
        CALL empty_entry(r, entry);
    END LOOP;
    DELETE FROM state WHERE room_id = r.id AND key = 'pin:' || t.seq;
    t.body := '';
    t.mentions := NULL;
    t.words := NULL;
    t.deleted := m.seq;
    CALL save(r, t);
    RETURN 0;
END $$;

-- Switching on what is on answers with the entry that did it.
CREATE FUNCTION apply_reaction(r room, m message) RETURNS placed LANGUAGE plpgsql AS $$
DECLARE
    present integer;
    p placed := ROW(0, m.seq, m.ts, NULL, 0);
    earlier bigint;
BEGIN
    SELECT seq INTO earlier FROM reaction
    WHERE room_id = r.id AND target = m.target AND emoji = m.body AND sender = m.sender;
    SELECT count(*) INTO present FROM reaction
    WHERE room_id = r.id AND target = m.target AND emoji = m.body;
    IF m.active AND earlier IS NOT NULL THEN
        SELECT 1, earlier, coalesce(min(ts), r.last_ts), NULL, present INTO p
        FROM message WHERE room_id = r.id AND seq = earlier;
    ELSIF m.active THEN
        IF present = 0 AND (SELECT count(DISTINCT emoji) FROM reaction
            WHERE room_id = r.id AND target = m.target) >= 50 THEN
            p.refused := 6;
            RETURN p;
        END IF;
        INSERT INTO reaction VALUES (r.id, m.target, m.body, m.sender, m.seq);
        p.count := present + 1;
    ELSIF earlier IS NULL THEN
        p.refused := 3;
    ELSE
        DELETE FROM reaction
        WHERE room_id = r.id AND target = m.target AND emoji = m.body AND sender = m.sender;
        p.count := present - 1;
    END IF;
    RETURN p;
END $$;

CREATE FUNCTION apply_pin(r room, m message) RETURNS smallint LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM state WHERE room_id = r.id AND key = 'pin:' || m.target;
    IF NOT m.active THEN
        RETURN CASE WHEN FOUND THEN 0 ELSE 3 END;
    END IF;
    IF (SELECT count(*) FROM state WHERE room_id = r.id AND starts_with(key, 'pin:')) >= 50 THEN
        RETURN 6;
    END IF;
    -- The value is the order of pinning.
    INSERT INTO state VALUES (r.id, 'pin:' || m.target, m.seq::text);
    RETURN 0;
END $$;

-- Takes over pairs of a key and a value: `+` and what it is now, or `-` for nothing any more.
CREATE PROCEDURE apply_state(r room, changes text) LANGUAGE plpgsql AS $$
DECLARE
    items text[] := string_to_array(changes, chr(30));
BEGIN
    FOR n IN 1 .. cardinality(items) BY 2 LOOP
        DELETE FROM state WHERE room_id = r.id AND key = items[n];
        IF starts_with(items[n + 1], '+') THEN
            INSERT INTO state VALUES (r.id, items[n], substr(items[n + 1], 2));
        END IF;
    END LOOP;
END $$;

-- Stores one entry and what follows from it. `extra` has the words of a text, or what becomes of the
-- room's state. Where it refuses, it has written nothing.
CREATE FUNCTION store_entry(r room, m message, extra text, may_moderate boolean)
RETURNS placed LANGUAGE plpgsql AS $$
DECLARE
    t message;
    p placed := ROW(0, m.seq, m.ts, NULL, 0);
BEGIN
    IF m.target IS NOT NULL THEN
        SELECT * INTO t FROM message
        WHERE room_id = r.id AND seq = m.target AND seq > r.floor AND kind = 0 AND deleted IS NULL;
        IF NOT FOUND THEN
            p.refused := 3;
            RETURN p;
        END IF;
        IF t.checksum <> checksum_of(r, t) THEN
            p.refused := 7;
            RETURN p;
        END IF;
    END IF;
    CASE m.kind
        WHEN 0 THEN
            m.thread := coalesce(t.thread, t.seq);
            m.words := array_to_tsvector(string_to_array(extra, ' '));
            p.thread := m.thread;
        WHEN 1 THEN
            p.refused := apply_edit(r, m, extra, t);
        WHEN 2 THEN
            p.refused := apply_delete(r, m, t, may_moderate);
        WHEN 3 THEN
            p := apply_reaction(r, m);
            m.count := p.count;
        WHEN 4 THEN
            p.refused := apply_pin(r, m);
        ELSE
            CALL apply_state(r, extra);
    END CASE;
    IF p.refused = 0 THEN
        m.checksum := checksum_of(r, m);
        INSERT INTO message VALUES (m.*);
    END IF;
    RETURN p;
END $$;

-- Stores the entries of one draft, all or none. If they are refused, one answer says why.
CREATE FUNCTION store_entries(r room, entries message[], extras text[], may_moderate boolean)
RETURNS placed[] LANGUAGE plpgsql AS $$
DECLARE
    p placed;
    stored placed[] := '{}';
BEGIN
    FOR n IN 1 .. cardinality(entries) LOOP
        p := store_entry(r, entries[n], extras[n], may_moderate);
        IF p.refused <> 0 THEN
            RAISE EXCEPTION 'an entry is refused' USING ERRCODE = 'PRLRF';
        END IF;
        stored := stored || p;
    END LOOP;
    RETURN stored;
EXCEPTION WHEN SQLSTATE 'PRLRF' THEN
    -- What is there already cannot be stored together with what is not.
    p.refused := greatest(p.refused, 2);
    RETURN ARRAY[p];
END $$;

-- Stores plain messages of many rooms at once: no relations, and no cid that was used before.
CREATE PROCEDURE store_plain(
    rooms room[], plain boolean[], d_room integer[], d_sender text[], d_ts bigint[],
    e_draft integer[], e_cid text[], e_body text[], e_mentions text[], e_digest bigint[], e_words text[]
) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO message (room_id, seq, ts, sender, cid, kind, body, mentions, digest, words, checksum)
    SELECT n.id, n.seq, n.ts, n.sender, n.cid, 0::smallint, n.body, n.mentions, n.digest,
        array_to_tsvector(string_to_array(n.words, ' ')),
        checksum_of(n.epoch, n.name, n.seq, n.ts, 0::smallint, NULL, NULL, NULL, NULL, NULL, NULL, n.digest,
            n.sender, n.cid, n.mentions, n.body)
    FROM (
        SELECT r.id, r.name, r.epoch, d.sender, e.cid, e.body, e.mentions, e.digest, e.words,
            r.head + row_number() OVER earlier AS seq,
            greatest(r.last_ts, max(d.ts) OVER earlier) AS ts
        FROM unnest(e_draft, e_cid, e_body, e_mentions, e_digest, e_words)
            WITH ORDINALITY AS e (draft, cid, body, mentions, digest, words, place)
        JOIN unnest(d_room, d_sender, d_ts) WITH ORDINALITY AS d (room, sender, ts, place)
            ON d.place = e.draft
        JOIN (SELECT (unnest(rooms)).*, unnest(plain) AS is_plain, generate_subscripts(rooms, 1) AS place) AS r
            ON r.place = d.room
        WHERE r.is_plain
        WINDOW earlier AS (PARTITION BY d.room ORDER BY e.place)
    ) AS n;
END $$;
