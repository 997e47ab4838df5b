-- Retention, erasure and import: room by room, each in a transaction of its own.

-- Raises the floor of a room as far as what is to be kept allows, and returns the room.
CREATE FUNCTION trim_room(room_name text, since bigint, records bigint, bytes bigint, after bigint)
RETURNS SETOF room LANGUAGE plpgsql AS $$
DECLARE
    r room;
    upto bigint;
    kept bigint := 0;
    o record;
BEGIN
    SELECT * INTO r FROM room WHERE name = room_name FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- What is not limited is NULL, which `greatest` passes over.
    upto := greatest(r.floor, r.head - records, CASE WHEN after < r.head THEN after WHEN after >= r.head THEN r.head END);
    IF since IS NOT NULL THEN
        SELECT coalesce(min(m.seq) - 1, r.head) INTO upto FROM (
            SELECT seq FROM message WHERE room_id = r.id AND seq > upto AND ts >= since
            ORDER BY seq LIMIT 1
        ) AS m;
    END IF;
    IF bytes IS NOT NULL THEN
        -- Of roles nobody has said anything.
        FOR o IN SELECT seq, CASE kind WHEN 6 THEN 0 ELSE octet_length(coalesce(body, '')) END AS size FROM message
            WHERE room_id = r.id AND seq > upto ORDER BY seq DESC
        LOOP
            kept := kept + o.size;
            IF kept > bytes THEN
                upto := o.seq;
                EXIT;
            END IF;
        END LOOP;
    END IF;
    IF upto > r.floor THEN
        UPDATE room SET floor = upto WHERE id = r.id RETURNING * INTO r;
        DELETE FROM state WHERE room_id = r.id AND starts_with(key, 'pin:') AND substr(key, 5)::bigint <= upto;
    END IF;
    RETURN NEXT r;
END $$;

-- Deletes at most so many records below the floor, which nobody sees any more, and keeps their cids
-- for 30 days (P6). Returns how many there were.
CREATE FUNCTION sweep_room(room bigint, most integer) RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM message WHERE room_id = room AND seq IN (
            SELECT m.seq FROM message m WHERE m.room_id = room
                AND m.seq <= (SELECT r.floor FROM room r WHERE r.id = room)
            ORDER BY m.seq LIMIT most
        ) RETURNING seq, ts, sender, cid, digest
    ), unanswered AS (
        DELETE FROM reaction WHERE room_id = room AND target IN (SELECT gone.seq FROM gone)
    ), remembered AS (
        INSERT INTO cid_memory
        SELECT room, gone.sender, gone.cid, gone.seq, gone.ts, gone.digest, now() + interval '30 days'
        FROM gone WHERE gone.cid IS NOT NULL
        ON CONFLICT (room_id, sender, cid) DO UPDATE SET seq = excluded.seq, ts = excluded.ts,
            digest = excluded.digest, expires = excluded.expires
    ), forgotten AS (
        DELETE FROM cid_memory WHERE expires < now()
    )
    SELECT count(*) FROM gone
$$;

-- Empties what a user has said in a room, and puts another name in the place of the user's. The JSON
-- of a change of the user's role begins with `role`.
CREATE PROCEDURE erase_room(room_name text, who text, alias text, role text, other_role text)
LANGUAGE plpgsql AS $$
DECLARE
    r room;
    m message;
BEGIN
    SELECT * INTO r FROM room WHERE name = room_name FOR UPDATE;
    FOR m IN SELECT * FROM message
        WHERE room_id = r.id AND (sender = who OR (kind = 6 AND starts_with(body, role)))
    LOOP
        IF m.sender = who THEN
            m.sender := alias;
            m.cid := NULL;
            m.digest := NULL;
            m.mentions := NULL;
            m.words := NULL;
        END IF;
        m.body := CASE
            WHEN m.kind IN (0, 3) THEN ''
            WHEN m.kind = 5 THEN '{}'
            WHEN m.kind = 6 AND starts_with(m.body, role) THEN other_role || substr(m.body, length(role) + 1)
            WHEN m.kind = 6 THEN m.body
        END;
        CALL save(r, m);
    END LOOP;
    DELETE FROM reaction WHERE room_id = r.id AND sender = who;
    DELETE FROM cid_memory WHERE room_id = r.id AND sender = who;
    UPDATE state SET key = 'role:' || alias WHERE room_id = r.id AND key = 'role:' || who;
END $$;

-- Stores records of an export as they are, behind the newest one or, in an empty room, from the floor
-- on; those that are there already are passed over. The state replaces what the room has.
CREATE FUNCTION restore_room(
    room_name text, new_epoch uuid, new_floor bigint, s_key text[], s_value text[],
    seqs bigint[], times bigint[], sender text[], cid text[], kind smallint[], target bigint[],
    thread bigint[], body text[], mentions text[], active boolean[], count integer[], edited bigint[],
    deleted bigint[], digest bigint[], words text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r room;
    m message;
BEGIN
    r := (lock_rooms(ARRAY[room_name], ARRAY[new_epoch]))[1];
    IF r.head = 0 THEN
        r.head := new_floor;
        r.floor := new_floor;
    END IF;
    FOR n IN 1 .. cardinality(seqs) LOOP
        CONTINUE WHEN seqs[n] <= r.head;
        IF seqs[n] > r.head + 1 THEN
            RAISE EXCEPTION 'a record is missing' USING ERRCODE = 'check_violation';
        END IF;
        m := ROW(r.id, seqs[n], times[n], sender[n], cid[n], kind[n], target[n], thread[n], body[n],
            mentions[n], active[n], count[n], edited[n], deleted[n], digest[n],
            array_to_tsvector(string_to_array(words[n], ' ')), NULL);
        m.checksum := checksum_of(r, m);
        INSERT INTO message VALUES (m.*);
        IF m.kind = 3 AND m.body <> '' THEN
            DELETE FROM reaction AS a WHERE a.room_id = r.id AND a.target = m.target AND a.emoji = m.body
                AND a.sender = m.sender;
            IF m.active AND m.target > r.floor THEN
                INSERT INTO reaction VALUES (r.id, m.target, m.body, m.sender, m.seq);
            END IF;
        END IF;
        r.head := m.seq;
        r.last_ts := greatest(r.last_ts, m.ts);
    END LOOP;
    UPDATE room SET head = r.head, floor = r.floor, last_ts = r.last_ts WHERE id = r.id;
    DELETE FROM state WHERE room_id = r.id;
    INSERT INTO state SELECT r.id, s.key, s.value FROM unnest(s_key, s_value) AS s (key, value);
END $$;
