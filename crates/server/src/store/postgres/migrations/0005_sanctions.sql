-- Mutes and bans: entries of kind 7, whose body is JSON, and pairs of a room's state. The key is
-- `sanction:` and the user; the value begins with the end, in milliseconds since 1970, or `never`.

-- Whether such a value holds at a time.
CREATE FUNCTION is_in_force(value text, now_ms bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN starts_with(value, 'never ') THEN true
        ELSE split_part(value, ' ', 1)::bigint > now_ms END
$$;

-- Whether a room's name is a pattern, or begins with what stands before its `*`. Private conversations
-- are meant only by patterns that say so.
CREATE FUNCTION fits(name text, pattern text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT (starts_with(pattern, '@') OR NOT starts_with(name, '@'))
        AND CASE WHEN right(pattern, 1) = '*' THEN starts_with(name, left(pattern, -1)) ELSE name = pattern END
$$;

-- As in 0002; a sanction takes those off the list whose time is over.
CREATE OR REPLACE FUNCTION store_entry(r room, m message, extra text, may_moderate boolean)
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
        WHEN 7 THEN
            DELETE FROM state WHERE room_id = r.id AND starts_with(key, 'sanction:')
                AND NOT is_in_force(value, m.ts);
            CALL apply_state(r, extra);
        ELSE
            CALL apply_state(r, extra);
    END CASE;
    IF p.refused = 0 THEN
        m.checksum := checksum_of(r, m);
        INSERT INTO message VALUES (m.*);
    END IF;
    RETURN p;
END $$;

-- As in 0004; sanctions follow a user who is erased, without their reasons.
CREATE OR REPLACE PROCEDURE erase_room(room_name text, who text, alias text, role text, other_role text)
LANGUAGE plpgsql AS $$
DECLARE
    r room;
    m message;
BEGIN
    SELECT * INTO r FROM room WHERE name = room_name FOR UPDATE;
    FOR m IN SELECT * FROM message
        WHERE room_id = r.id AND (sender = who OR (kind IN (6, 7) AND starts_with(body, role)))
    LOOP
        IF m.kind = 7 AND m.sender = who THEN
            UPDATE state SET value = split_part(value, ' ', 1) || ' ' || split_part(value, ' ', 2)
            WHERE room_id = r.id AND key = 'sanction:' || (m.body::json ->> 'user');
        END IF;
        IF m.kind = 7 THEN
            m.body := split_part(m.body, ',"reason":', 1) || CASE WHEN m.body LIKE '%,"reason":%' THEN '}' ELSE '' END;
        END IF;
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
            WHEN m.kind IN (6, 7) AND starts_with(m.body, role)
                THEN other_role || substr(m.body, length(role) + 1)
            WHEN m.kind IN (6, 7) THEN m.body
        END;
        CALL save(r, m);
    END LOOP;
    DELETE FROM reaction WHERE room_id = r.id AND sender = who;
    DELETE FROM cid_memory WHERE room_id = r.id AND sender = who;
    UPDATE state SET key = 'role:' || alias WHERE room_id = r.id AND key = 'role:' || who;
    UPDATE state SET key = 'sanction:' || alias,
        value = split_part(value, ' ', 1) || ' ' || split_part(value, ' ', 2)
    WHERE room_id = r.id AND key = 'sanction:' || who;
END $$;
