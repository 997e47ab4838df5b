-- The one call that appends. Arrays: rooms in the order of their names (the epochs of those that are
-- new; `plain` where no draft needs a look at anything but its cids, with what is added to those);
-- drafts (d_) with their room and their entries, which are d_count from d_first on; entries (e_), with
-- the words of a text or the changes of the room's state as extra. A guard is 0 author, 1 moderator,
-- 2 new room, 3 conflict.

-- Finds what a cid says already, among the records and among those that were trimmed.
CREATE FUNCTION original(room bigint, author text, name text)
RETURNS TABLE (seq bigint, ts bigint, digest bigint, thread bigint, count integer) LANGUAGE sql STABLE AS $$
    SELECT m.seq, m.ts, m.digest, m.thread, coalesce(m.count, 0) FROM message m
    WHERE m.room_id = room AND m.sender = author AND m.cid = name
    UNION ALL
    SELECT c.seq, c.ts, c.digest, NULL, 0 FROM cid_memory c
    WHERE c.room_id = room AND c.sender = author AND c.cid = name AND c.expires > now()
    LIMIT 1
$$;

-- Makes the rooms that are missing, and locks all. Both go in the order of names: two nodes never wait
-- for each other.
CREATE FUNCTION lock_rooms(names text[], new_epochs uuid[]) RETURNS room[] LANGUAGE plpgsql AS $$
DECLARE
    locked room[];
BEGIN
    INSERT INTO room (name, epoch, last_ts)
    SELECT n.name, n.epoch, -9223372036854775808 FROM unnest(names, new_epochs) AS n (name, epoch)
    WHERE NOT EXISTS (SELECT FROM room WHERE room.name = n.name COLLATE "C")
    ORDER BY n.name COLLATE "C"
    ON CONFLICT (name) DO NOTHING;
    SELECT array_agg(l.r) INTO locked FROM (
        SELECT room AS r FROM room WHERE name = ANY (names) ORDER BY name FOR UPDATE
    ) AS l;
    IF cardinality(locked) <> cardinality(names) THEN
        RAISE EXCEPTION 'a room vanished' USING ERRCODE = '40001';
    END IF;
    RETURN locked;
END $$;

-- Writes the ends of the rooms, and takes away those in which nothing was stored after all.
CREATE PROCEDURE save_rooms(rooms room[], plain boolean[], added integer[], latest bigint[])
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE room SET
        head = n.head + CASE WHEN n.is_plain THEN n.added ELSE 0 END,
        last_ts = CASE WHEN n.is_plain THEN greatest(n.last_ts, n.latest) ELSE n.last_ts END
    FROM (
        SELECT (unnest(rooms)).*, unnest(plain) AS is_plain, unnest(added) AS added, unnest(latest) AS latest
    ) AS n
    WHERE room.id = n.id AND (n.is_plain OR n.head > room.head);
    DELETE FROM room WHERE id = ANY (SELECT n.id FROM unnest(rooms) AS n WHERE n.head = 0) AND head = 0;
END $$;

-- Stores one draft and returns what to answer: one place per entry, or one that says why not.
CREATE FUNCTION store_draft(r room, guard smallint, entries message[], extras text[])
RETURNS placed[] LANGUAGE plpgsql AS $$
DECLARE
    o record;
    refused smallint;
    given integer := 0;
    known integer := 0;
    -- Of the first original: its number, less its place in the draft, and its time.
    base bigint;
    first_ts bigint;
    is_same boolean := true;
BEGIN
    FOR n IN 1 .. cardinality(entries) LOOP
        CONTINUE WHEN entries[n].cid IS NULL;
        given := given + 1;
        SELECT * INTO o FROM original(r.id, entries[n].sender, entries[n].cid);
        CONTINUE WHEN NOT FOUND;
        known := known + 1;
        base := coalesce(base, o.seq - n);
        first_ts := coalesce(first_ts, o.ts);
        is_same := is_same AND o.seq = base + n AND o.digest IS NOT DISTINCT FROM entries[n].digest;
    END LOOP;
    IF guard <> 3 AND known > 0 AND known = given AND is_same THEN
        -- Entries without a cid were stored together with the others.
        RETURN (SELECT array_agg(ROW(1, base + n, first_ts, m.thread, coalesce(m.count, 0))::placed ORDER BY n)
            FROM generate_subscripts(entries, 1) AS n
            LEFT JOIN message m ON m.room_id = r.id AND m.seq = base + n);
    END IF;
    refused := CASE
        WHEN guard = 3 OR known > 0 THEN 2
        WHEN guard = 2 AND r.head > 0 THEN 5
    END;
    IF refused IS NOT NULL THEN
        RETURN ARRAY[ROW(refused, NULL, NULL, NULL, 0)::placed];
    END IF;
    -- A savepoint for one entry would be wasted: it writes nothing before it is refused.
    IF cardinality(entries) = 1 THEN
        RETURN ARRAY[store_entry(r, entries[1], extras[1], guard = 1)];
    END IF;
    RETURN store_entries(r, entries, extras, guard = 1);
END $$;

CREATE FUNCTION append(
    writer_id uuid, number bigint,
    names text[], new_epochs uuid[], plain boolean[], added integer[], latest bigint[],
    d_room integer[], d_sender text[], d_ts bigint[], d_guard smallint[], d_first integer[], d_count integer[],
    e_draft integer[], e_cid text[], e_kind smallint[], e_target bigint[], e_body text[], e_mentions text[],
    e_active boolean[], e_digest bigint[], e_extra text[]
) RETURNS SETOF writer LANGUAGE plpgsql AS $$
DECLARE
    w writer;
    rooms room[];
    r room;
    m message;
    p placed;
    entries message[];
    extras text[];
    answers placed[];
    i integer;
    outcome smallint;
    given placed[] := '{}';
BEGIN
    SELECT * INTO w FROM writer WHERE id = writer_id FOR UPDATE;
    IF NOT FOUND OR w.closed THEN
        RAISE EXCEPTION 'this writer was closed' USING ERRCODE = 'PRLCW';
    END IF;
    rooms := lock_rooms(names, new_epochs);
    SELECT array_agg(l.epoch), array_agg(l.head), array_agg(l.last_ts)
    INTO w.epochs, w.heads, w.times FROM unnest(rooms) AS l;
    w.outcomes := '{}';
    -- A cid that was used before takes its room off the fast way.
    FOR i IN
        SELECT DISTINCT d.room FROM unnest(e_draft, e_cid) AS entry (draft, cid)
        JOIN unnest(d_room, d_sender) WITH ORDINALITY AS d (room, sender, place) ON d.place = entry.draft
        CROSS JOIN LATERAL original((rooms[d.room]).id, d.sender, entry.cid)
        WHERE entry.cid IS NOT NULL AND plain[d.room]
    LOOP
        plain[i] := false;
    END LOOP;
    IF true = ANY (plain) THEN
        CALL store_plain(rooms, plain, d_room, d_sender, d_ts, e_draft, e_cid, e_body, e_mentions,
            e_digest, e_extra);
    END IF;
    FOR d IN 1 .. cardinality(d_room) LOOP
        i := d_room[d];
        CONTINUE WHEN plain[i];
        r := rooms[i];
        entries := '{}';
        extras := '{}';
        FOR e IN d_first[d] .. d_first[d] + d_count[d] - 1 LOOP
            m := ROW(r.id, r.head + 1 + e - d_first[d], greatest(d_ts[d], r.last_ts), d_sender[d], e_cid[e],
                e_kind[e], e_target[e], NULL, e_body[e], e_mentions[e], e_active[e], NULL, NULL, NULL,
                e_digest[e], NULL, NULL);
            entries := entries || m;
            extras := extras || e_extra[e];
        END LOOP;
        answers := store_draft(r, d_guard[d], entries, extras);
        outcome := answers[1].refused;
        w.outcomes := w.outcomes || outcome;
        IF outcome = 0 THEN
            r.head := r.head + d_count[d];
            r.last_ts := greatest(d_ts[d], r.last_ts);
            rooms[i] := r;
        END IF;
        IF outcome < 2 THEN
            FOREACH p IN ARRAY answers LOOP
                given := given || p;
            END LOOP;
        END IF;
    END LOOP;
    SELECT coalesce(array_agg(g.ts), '{}'), coalesce(array_agg(g.seq), '{}'),
        coalesce(array_agg(g.thread), '{}'), coalesce(array_agg(g.count), '{}')
    INTO w.entry_ts, w.seqs, w.threads, w.counts FROM unnest(given) AS g;
    CALL save_rooms(rooms, plain, added, latest);
    w.plain := plain;
    RETURN QUERY UPDATE writer SET batch = number, seen = now(),
        generation = (SELECT l.generation FROM lineage l), epochs = w.epochs, heads = w.heads,
        times = w.times, plain = w.plain, outcomes = w.outcomes, entry_ts = w.entry_ts, seqs = w.seqs,
        threads = w.threads, counts = w.counts
        WHERE id = writer_id RETURNING *;
END $$;
