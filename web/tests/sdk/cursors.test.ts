import assert from "node:assert/strict";
import { test } from "node:test";
import { EPOCH, joined, message, page, Play } from "./play.ts";

/** What a browser's storage keeps between two lives of a page. */
class Kept {
  readonly values = new Map<string, string>();
  getItem(key: string): string | null {
    return this.values.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.values.set(key, value);
  }
}

test("a client that starts anew goes on where the last one was", async () => {
  const storage = new Kept();
  const first = new Play({ user: "Alice", storage });
  await first.enter(5);
  first.socket.messages(6, 7);
  const room = "@Alice,Bob";
  first.socket.say("private", { room, seq: 1, from: "Bob", to: "Alice", text: "psst", ts: 0 });
  // The first entry does not tell the lineage, so it is asked for.
  first.socket.say("history", page([], { room, head: 1 }), first.socket.heard()[0]!.id);
  await first.settle();
  first.socket.say("private", { room, seq: 2, from: "Bob", to: "Alice", text: "hey", ts: 0 });
  await first.advance(1_000);

  const second = new Play({ user: "Alice", storage });
  second.parlour.connect();
  await second.welcome();
  void second.parlour.join("general");
  const asked = second.socket.heard();
  assert.deepEqual(
    asked.map(({ type, payload }) => [type, payload]),
    [
      ["history", { room, after: 2, limit: 500 }],
      ["join", { room: "general", since: { epoch: EPOCH, seq: 7 } }],
    ],
  );
  second.socket.say("joined", joined({ head: 8, replayed: 1 }), asked[1]!.id);
  second.socket.messages(8);
  assert.deepEqual(second.told(), ["general 8 m8"]);

  const other = new Play({ user: "Bob", storage });
  other.parlour.connect();
  await other.welcome({ user: "Bob" });
  void other.parlour.join("general");
  assert.deepEqual(
    other.socket.heard()[0]!.payload,
    { room: "general", history: 50 },
    "nobody goes on for somebody else",
  );
});

test("a room that was left is not gone on with, and a broken memory is none", async () => {
  const storage = new Kept();
  const play = new Play({ user: "Alice", storage });
  await play.enter(5);
  void play.parlour.leave("general");
  await play.advance(1_000);
  const [key] = [...storage.values.keys()];
  assert.equal(storage.values.get(key!), "[]");
  storage.values.set(key!, "nonsense");
  const again = new Play({ user: "Alice", storage });
  await again.enter(5);
  assert.equal(again.parlour.position("general")?.seq, 5n);
});

test("how far one has read is told once a second, and only the furthest", async () => {
  const play = new Play();
  await play.enter(9);
  for (const seq of [1n, 5n, 3n]) play.parlour.read("general", seq);
  await play.advance(999);
  assert.deepEqual(play.socket.heard(), []);
  await play.advance(1);
  const [read, ...rest] = play.socket.heard();
  assert.deepEqual([read!.type, read!.payload, rest], ["read", { room: "general", seq: 5 }, []]);
  play.socket.say("ack", {}, read!.id);
  play.parlour.read("general", 4n);
  await play.advance(2_000);
  assert.deepEqual(play.socket.heard(), [], "never back");
});

test("what has arrived is told where that is wanted, also after an outage", async () => {
  const play = new Play({ user: "Alice", reportDelivery: true });
  await play.enter(0);
  play.socket.messages(1, 2);
  play.socket.end(1006);
  await play.advance(2_000);
  await play.welcome({ resuming: ["general"] });
  assert.deepEqual(play.socket.heard(), [], "not before the room is entered");
  play.socket.say("joined", joined({ head: 2 }));
  const [told, ...rest] = play.socket.heard();
  assert.deepEqual([told!.type, told!.payload, rest], ["delivered", { room: "general", seq: 2 }, []]);
});

test("changes keep their order among messages and are repeated under their cids", async () => {
  const play = new Play();
  await play.enter(1);
  void play.parlour.publish("general", "one", { reply_to: 1n, mentions: ["Bob"] });
  void play.parlour.edit("general", 1n, "first");
  void play.parlour.react("general", 1n, "👍");
  void play.parlour.batch("general", [{ text: "a" }, { text: "b" }]);
  const [publish] = play.socket.heard();
  assert.deepEqual(publish!.payload, { room: "general", text: "one", reply_to: 1, mentions: ["Bob"], cid: "cid-1" });
  await play.comeBack();
  play.socket.say("joined", joined({ head: 1 }));
  const told: unknown[] = [];
  for (let seq = 2; seq <= 5; seq += 1) {
    const [command, ...rest] = play.socket.heard();
    assert.deepEqual(rest, [], "one at a time");
    told.push([command!.type, command!.payload.cid ?? command!.payload.messages.map((m: { cid: string }) => m.cid)]);
    play.socket.say("message", message(seq));
    play.socket.say("ack", { room: "general", epoch: EPOCH, seq, ts: 0, dup: false }, command!.id);
    await play.settle();
  }
  assert.deepEqual(told, [
    ["publish", "cid-1"],
    ["edit", "cid-2"],
    ["react", "cid-3"],
    ["batch", ["cid-4", "cid-5"]],
  ]);
});

test("a message that another one blocks waits for it and follows", async () => {
  const play = new Play();
  await play.enter(0);
  void play.parlour.private("Bob", "psst");
  void play.parlour.react("@Alice,Bob", 1n, "👍");
  const [first, ...rest] = play.socket.heard();
  assert.deepEqual(rest, [], "one conversation, one order");
  play.socket.refuse(first!.id, "unavailable", true);
  await play.advance(1_500);
  const [again] = play.socket.heard();
  assert.deepEqual([again!.type, again!.payload], [first!.type, first!.payload]);
  play.socket.say("ack", { room: "@Alice,Bob", epoch: EPOCH, seq: 1, ts: 0, dup: false }, again!.id);
  assert.equal(play.socket.heard()[0]!.type, "react");
});

test("answers come as they are", async () => {
  const play = new Play();
  await play.enter(0);
  const answers = {
    info: [play.parlour.info("general"), { room: "general", topic: "tea", roles: [], pins: [3] }],
    found: [play.parlour.search({ query: "tea" }), { hits: [], next: "on" }],
    status: [play.parlour.status("general", "x"), { room: "general", cid: "x" }],
    receipts: [
      play.parlour.receipts("general", 3n),
      { room: "general", seq: 3, read: 1, delivered: 1, of: 2, receipts: [] },
    ],
  } as const;
  const asked = play.socket.heard();
  Object.entries(answers).forEach(([type, [, payload]], index) => play.socket.say(type, payload, asked[index]!.id));
  assert.deepEqual((await answers.info[0]).pins, [3n]);
  assert.equal((await answers.found[0]).next, "on");
  assert.equal((await answers.status[0]).stored, undefined);
  assert.equal((await answers.receipts[0]).of, 2);
});
