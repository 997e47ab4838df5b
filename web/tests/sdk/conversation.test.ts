/** The folded view of a room, compared with one that saw everything in order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Conversation, type Entry, type SanctionKind } from "../../src/sdk/index.ts";
import { decode } from "../../src/sdk/wire.ts";

const EMOJI = ["👍", "🎉"];
const USERS = ["Ann", "Bob", "Cleo"];

/** A sequence of numbers that is the same for the same seed. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

/** A log of a room, and its messages as the server would tell them after some of its entries. */
class Log {
  readonly entries: Entry[] = [];

  constructor(roll: (sides: number) => number, length: number) {
    const messages: bigint[] = [];
    const live = () => messages[roll(messages.length)]!;
    const on = new Map<string, Set<string>>();
    for (let seq = 1n; seq <= BigInt(length); seq += 1n) {
      const header = { room: "general", seq, sender: USERS[roll(3)]!, ts: Number(seq) };
      const target = live();
      const kind = messages.length === 0 ? 0 : roll(8);
      if (kind <= 2) {
        messages.push(seq);
        this.entries.push({ type: "message", payload: { ...header, text: `m${seq}` } });
      } else if (kind === 3) this.entries.push({ type: "edited", payload: { ...header, target, text: `e${seq}` } });
      else if (kind === 4 && messages.length > 2) {
        messages.splice(messages.indexOf(target), 1);
        this.entries.push({ type: "deleted", payload: { ...header, target } });
      } else if (kind === 5) this.entries.push({ type: "pinned", payload: { ...header, target, active: roll(2) > 0 } });
      else if (kind === 6) this.entries.push({ type: "room_changed", payload: { ...header, topic: `t${seq}` } });
      else {
        const emoji = EMOJI[roll(2)]!;
        const users = on.get(`${target} ${emoji}`) ?? new Set();
        on.set(`${target} ${emoji}`, users);
        const active = !users.delete(header.sender);
        if (active) users.add(header.sender);
        this.entries.push({ type: "reacted", payload: { ...header, target, emoji, active, count: users.size } });
      }
    }
  }

  /** The view of somebody who saw everything, as it happened. */
  seen(upto = this.entries.length): Conversation {
    const view = new Conversation("general");
    for (const entry of this.entries.slice(0, upto)) view.apply(entry);
    return view;
  }

  /** Entries as the store tells them later: messages as they are after `upto`, old texts gone. */
  told(from: number, to: number, upto: number): Entry[] {
    const view = this.seen(upto);
    return this.entries.slice(from, to).map((entry): Entry => {
      if (entry.type === "message") return { ...entry, payload: { ...strip(view.message(entry.payload.seq)!) } };
      if (entry.type !== "edited") return entry;
      const { text: _, ...rest } = entry.payload;
      return view.message(rest.target)?.edited === rest.seq && !view.message(rest.target)?.deleted
        ? entry
        : { ...entry, payload: rest };
    });
  }
}

const strip = (message: object) =>
  JSON.parse(JSON.stringify(message, bigints), (key, value) => (BIG.has(key) ? BigInt(value) : value));
const bigints = (_: string, value: unknown) => (typeof value === "bigint" ? String(value) : value);
const BIG = new Set(["seq", "edited", "deleted"]);

const shown = (view: Conversation) =>
  JSON.stringify({ messages: view.messages().map(plain), pins: view.pins, topic: view.topic }, bigints);
/** Users of a reaction are a set. */
const plain = (message: ReturnType<Conversation["messages"]>[number]) => ({
  seq: message.seq,
  text: message.text,
  edited: message.edited,
  deleted: message.deleted,
  reactions: message.reactions
    .map((tally) => ({ ...tally, users: [...tally.users].sort() }))
    .sort((a, b) => (a.emoji < b.emoji ? -1 : 1)),
});

test("pages, replays and live entries in any overlap give what one sees who was always there", () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const roll = dice(seed);
    const log = new Log(roll, 60);
    const joinedAt = roll(40);
    const view = new Conversation("general");
    // Enters with the last of them, and hears the rest live, a few twice, while older pages arrive.
    const since = roll(joinedAt + 1);
    for (const entry of log.told(since, joinedAt, joinedAt)) view.apply(entry);
    let oldest = since;
    for (let at = joinedAt; at < log.entries.length; at += 1) {
      view.apply(log.entries[at]!);
      if (roll(4) === 0) view.apply(log.entries[at]!);
      if (roll(6) === 0) {
        // A page that was read a little earlier than it arrives.
        const readAt = Math.max(joinedAt, at + 1 - roll(4));
        const from = Math.max(0, oldest - roll(20));
        view.take({ events: log.told(from, Math.min(oldest + 5, readAt), readAt) });
        oldest = from;
      }
    }
    view.take({ events: log.told(0, oldest, log.entries.length) });
    assert.equal(shown(view), shown(log.seen()), `seed ${seed}`);
  }
});

test("a replay that is paged ends where everybody is", () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const log = new Log(dice(seed), 80);
    const view = new Conversation("general");
    for (let from = 0; from < 80; from += 20) {
      for (const entry of log.told(from, from + 20, 80)) view.apply(entry);
    }
    assert.equal(shown(view), shown(log.seen()), `seed ${seed}`);
  }
});

const header = (seq: bigint, sender = "Ann") => ({ room: "general", seq, sender, ts: 0 });

test("a deleted message is a tombstone, and its reactions and pin are gone", () => {
  const view = new Conversation("general");
  view.apply({ type: "message", payload: { ...header(1n), text: "secret", mentions: ["Bob"] } });
  view.apply({ type: "reacted", payload: { ...header(2n, "Bob"), target: 1n, emoji: "👍", active: true, count: 1 } });
  view.apply({ type: "pinned", payload: { ...header(3n), target: 1n, active: true } });
  assert.deepEqual(view.pins, [1n]);
  view.apply({ type: "deleted", payload: { ...header(4n), target: 1n } });
  const { text, mentions, reactions, deleted } = view.message(1n)!;
  assert.deepEqual([text, mentions, reactions, deleted, view.pins], ["", [], [], 4n, []]);
  view.apply({ type: "message", payload: { ...header(1n), text: "secret" } });
  assert.equal(view.message(1n)!.text, "", "a late copy brings nothing back");
});

test("threads, roles, settings and receipts", () => {
  const view = new Conversation("general");
  view.apply({ type: "message", payload: { ...header(1n), text: "question" } });
  view.apply({ type: "message", payload: { ...header(2n), text: "aside" } });
  view.apply({ type: "message", payload: { ...header(3n), text: "answer", reply_to: 1n, thread: 1n } });
  assert.deepEqual(
    view.thread(1n).map(({ seq }) => seq),
    [1n, 3n],
  );
  view.apply({
    type: "info",
    payload: { room: "general", title: "Hall", roles: [{ user: "Ann", role: "owner" }], pins: [2n] },
  });
  view.take({ events: [{ type: "room_changed", payload: { ...header(0n), title: "older" } }] });
  view.apply({ type: "role_changed", payload: { ...header(4n), user: "Bob", role: "moderator" } });
  view.apply({ type: "role_changed", payload: { ...header(5n), user: "Ann" } });
  assert.deepEqual([view.title, [...view.roles], view.pins], ["Hall", [["Bob", "moderator"]], [2n]]);
  view.apply({ type: "joined", payload: { room: "general", receipts: [{ user: "Bob", read: 1n, delivered: 3n }] } });
  view.apply({ type: "read", payload: { room: "general", user: "Cleo", seq: 3n, count: 1, of: 3 } });
  view.apply({ type: "read", payload: { room: "general", user: "Cleo", seq: 2n, count: 1, of: 3 } });
  assert.deepEqual(
    [view.readers(1n), view.readers(2n), view.receipt("Cleo")?.delivered],
    [["Bob", "Cleo"], ["Cleo"], 3n],
  );
  view.apply({ type: "read", payload: { room: "other", user: "Dora", seq: 9n, count: 1, of: 1 } });
  assert.deepEqual(view.readers(1n), ["Bob", "Cleo"]);
});

test("mutes and bans, and the pace of a room", () => {
  const view = new Conversation("general");
  const sanctioned = (seq: bigint, user: string, kind: SanctionKind, until_ms?: number) =>
    view.apply({ type: "sanctioned", payload: { ...header(seq), user, kind, ...(until_ms && { until_ms }) } });
  sanctioned(1n, "Bob", "mute", 60_000);
  sanctioned(2n, "Cleo", "ban");
  sanctioned(3n, "Cleo", "kick");
  assert.deepEqual([...view.sanctions.values()], [
    { user: "Bob", kind: "mute", until_ms: 60_000 },
    { user: "Cleo", kind: "ban" },
  ]);
  sanctioned(4n, "Cleo", "none");
  assert.deepEqual([...view.sanctions.keys()], ["Bob"]);
  view.apply({ type: "room_changed", payload: { ...header(5n), slow_ms: 30_000 } });
  assert.equal(view.slowMs, 30_000);
  const info = { room: "general", roles: [], pins: [], sanctions: [{ user: "Dora", kind: "ban" as const }] };
  view.apply({ type: "info", payload: info });
  assert.deepEqual([[...view.sanctions.keys()], view.slowMs], [["Dora"], 0]);
});

test("what a user said is forgotten when it is erased", () => {
  const view = new Conversation("general");
  view.apply({ type: "message", payload: { ...header(1n), text: "mine" } });
  view.apply({ type: "message", payload: { ...header(2n, "Bob"), text: "hers" } });
  view.apply({ type: "reacted", payload: { ...header(3n), target: 2n, emoji: "👍", active: true, count: 1 } });
  view.apply({ type: "erased", payload: { room: "general", user: "Ann" } });
  assert.deepEqual(
    view.messages().map(({ text, reactions }) => [text, reactions.length]),
    [
      ["", 0],
      ["hers", 0],
    ],
  );
});

test("places in lists of receipts and pins are exact; counts of people are numbers", () => {
  const big = "9007199254740993";
  const frame = decode(
    `{"type":"receipts","id":1,"payload":{"room":"a","seq":${1},"read":2,"delivered":3,"of":4,"receipts":[{"user":"b","read":"${big}","delivered":"${big}"}]}}`,
  );
  assert.ok(frame.type === "receipts");
  assert.deepEqual([frame.payload.read, frame.payload.receipts[0]!.read], [2, BigInt(big)]);
  const info = decode(`{"type":"info","id":1,"payload":{"room":"a","roles":[],"pins":[3,"${big}"]}}`);
  assert.ok(info.type === "info");
  assert.deepEqual(info.payload.pins, [3n, BigInt(big)]);
});
