import assert from "node:assert/strict";
import { test } from "node:test";
import { EPOCH, joined, message, OTHER_EPOCH, page, Play, WELCOME } from "./play.ts";

test("a client resumes after the last message that it saw and gets each once", async () => {
  const play = new Play();
  await play.enter(5);
  play.socket.messages(6, 7);
  play.socket.end(1006);
  await play.advance(2_000);
  const hello = await play.hello();
  assert.deepEqual(hello.payload.resume, [{ room: "general", since: { epoch: EPOCH, seq: 7 } }]);
  play.socket.say("welcome", { ...WELCOME, resuming: ["general"] }, hello.id);
  play.socket.say("joined", joined({ head: 9, replayed: 2 }));
  play.socket.messages(8, 9, 9, 3, 10);
  assert.deepEqual(play.told(), ["general 6 m6", "general 7 m7", "general 8 m8", "general 9 m9", "general 10 m10"]);
  await play.advance(10_000);
  assert.deepEqual(play.socket.heard(), [], "nothing is left to ask");
});

test("a hole is filled from history before the message behind it is shown", async () => {
  const play = new Play();
  await play.enter(5);
  play.socket.messages(6, 9);
  await play.settle();
  const [ask, ...rest] = play.socket.heard();
  assert.deepEqual([ask!.type, ask!.payload, rest], ["history", { room: "general", after: 6 }, []]);
  play.socket.messages(10);
  assert.deepEqual(play.told(), ["general 6 m6"]);
  play.socket.say("history", page([7, 8, 9, 10], {}), ask!.id);
  await play.settle();
  assert.deepEqual(play.told(), ["general 7 m7", "general 8 m8", "general 9 m9", "general 10 m10"]);
});

test("too_far is paged through history, and live messages wait for their turn", async () => {
  const play = new Play();
  await play.enter(5);
  await play.comeBack();
  play.socket.say("joined", joined({ head: 9, recovered: false, reason: "too_far" }));
  await play.settle();
  const [first] = play.socket.heard();
  assert.deepEqual(first!.payload, { room: "general", after: 5 });
  play.socket.messages(10);
  play.socket.say("history", page([6, 7], { head: 10, more: true }), first!.id);
  await play.settle();
  const [second] = play.socket.heard();
  assert.deepEqual(second!.payload, { room: "general", after: 7 });
  play.socket.say("history", page([8, 9, 10], {}), second!.id);
  await play.settle();
  assert.deepEqual(
    play.told(),
    [6, 7, 8, 9, 10].map((seq) => `general ${seq} m${seq}`),
  );
});

for (const [reason, epoch] of [
  ["expired", EPOCH],
  ["epoch", OTHER_EPOCH],
  ["ahead", EPOCH],
] as const) {
  test(`${reason} begins anew with the newest messages`, async () => {
    const play = new Play();
    await play.enter(40);
    await play.comeBack();
    play.socket.say("joined", joined({ epoch, head: 3, floor: 1, recovered: false, reason }));
    await play.settle();
    const [ask] = play.socket.heard();
    // `enter` asked for no history, so nothing is fetched; the next message simply continues.
    assert.equal(ask, undefined);
    play.socket.messages(4);
    assert.deepEqual(play.told(), [`reset general ${reason}`, "general 4 m4"]);
    assert.deepEqual(play.parlour.position("general"), { epoch, seq: 4n });
  });
}

test("a new beginning fetches as much history as the join asked for", async () => {
  const play = new Play();
  play.parlour.connect();
  await play.welcome();
  void play.parlour.join("general", { history: 2 });
  const [join] = play.socket.heard();
  assert.deepEqual(join!.payload, { room: "general", history: 2 });
  play.socket.say("joined", joined({ head: 5, replayed: 2 }), join!.id);
  play.socket.messages(4, 5);
  play.told();
  await play.comeBack();
  play.socket.say("joined", joined({ epoch: OTHER_EPOCH, head: 9, recovered: false, reason: "epoch" }));
  await play.settle();
  const [ask] = play.socket.heard();
  assert.deepEqual(ask!.payload, { room: "general", after: 7 });
  play.socket.say("history", page([8, 9], { epoch: OTHER_EPOCH }), ask!.id);
  await play.settle();
  assert.deepEqual(play.told(), ["reset general epoch", "general 8 m8", "general 9 m9"]);
});

test("a conversation takes its epoch from its first message, not from its empty page", async () => {
  const play = new Play();
  play.parlour.connect();
  await play.welcome();
  const room = "@Alice,Bob";
  void play.parlour.history({ room });
  play.socket.say("history", page([], { room, epoch: OTHER_EPOCH }), play.socket.heard()[0]!.id);
  await play.settle();
  void play.parlour.private("Bob", "psst");
  play.socket.say("ack", { room, epoch: EPOCH, seq: 1, ts: 0, dup: false }, play.socket.heard()[0]!.id);
  play.socket.say("private", { room, seq: 1, from: "Alice", to: "Bob", text: "psst", ts: 0 });
  await play.settle();
  assert.deepEqual(play.parlour.position(room), { epoch: EPOCH, seq: 1n });
});

test("an empty room that begins under another epoch loses nothing", async () => {
  const play = new Play();
  await play.enter(0);
  await play.comeBack();
  play.socket.say("joined", joined({ epoch: OTHER_EPOCH, head: 0, recovered: false, reason: "epoch" }));
  play.socket.messages(1);
  assert.deepEqual(play.told(), ["general 1 m1"]);
  assert.deepEqual(play.parlour.position("general"), { epoch: OTHER_EPOCH, seq: 1n });
});

test("a hole that the server cannot fill is told, and not asked for again and again", async () => {
  const play = new Play();
  await play.enter(5);
  play.socket.messages(9);
  for (let round = 0; round < 5; round += 1) {
    await play.settle();
    for (const { id } of play.socket.heard()) play.socket.say("history", page([], { head: 9 }), id);
  }
  play.socket.messages(10);
  assert.deepEqual(
    play.told().filter((line) => line.startsWith("reset")),
    ["reset general expired"],
  );
  assert.deepEqual(play.parlour.position("general")?.seq, 10n);
  assert.deepEqual(play.socket.heard(), []);
});

test("resync while connected is handled like a resume that failed", async () => {
  const play = new Play();
  await play.enter(5);
  play.socket.say("resync", { room: "general", reason: "epoch", epoch: OTHER_EPOCH, head: 2, floor: 0 });
  play.socket.messages(3);
  assert.deepEqual(play.told(), ["reset general epoch", "general 3 m3"]);
});

test("a room that may no longer be read is left", async () => {
  const play = new Play();
  await play.enter(5);
  await play.comeBack();
  play.socket.say("joined", joined({ head: 0, recovered: false, reason: "access" }));
  assert.deepEqual(play.told(), ["left general access"]);
  await play.comeBack({ resuming: [] });
  assert.deepEqual(play.socket.heard(), []);
});

test("a room that the server did not resume is asked for, and left if it is refused", async () => {
  const play = new Play();
  await play.enter(5);
  await play.comeBack({ resuming: [] });
  const [join] = play.socket.heard();
  assert.deepEqual(join!.payload, { room: "general", since: { epoch: EPOCH, seq: 5 } });
  play.socket.refuse(join!.id, "not_found");
  await play.settle();
  assert.deepEqual(play.told(), ["left general not_found"]);
});

test("a room whose resume was refused without an id is asked for again", async () => {
  const play = new Play();
  await play.enter(5);
  await play.comeBack();
  play.socket.refuse(null, "unavailable", true);
  await play.advance(5_000);
  const [join] = play.socket.heard();
  assert.deepEqual(join!.payload, { room: "general", since: { epoch: EPOCH, seq: 5 } });
});

test("positions beyond doubles are resumed exactly", async () => {
  const play = new Play();
  play.parlour.connect();
  await play.welcome();
  void play.parlour.join("general", { history: 0 });
  play.socket.say("joined", joined({ head: "9007199254740993" }), play.socket.heard()[0]!.id);
  play.socket.say("message", message("9007199254740994"));
  assert.deepEqual(play.told(), ["general 9007199254740994 m9007199254740994"]);
  play.socket.end(1006);
  await play.advance(2_000);
  assert.equal((await play.hello()).payload.resume[0].since.seq, "9007199254740994");
});

test("private conversations are checked after a reconnection", async () => {
  const play = new Play();
  play.parlour.connect();
  await play.welcome();
  const room = "@Alice,Bob";
  play.socket.say("private", { room, seq: 7, from: "Bob", to: "Alice", text: "psst", ts: 0 });
  await play.comeBack({});
  const [ask] = play.socket.heard();
  assert.deepEqual([ask!.type, ask!.payload], ["history", { room, after: 7 }]);
  const missed = { room, seq: 8, sender: "Alice", text: "from my phone", ts: 0 };
  play.socket.say("history", page([], { room, head: 8, messages: [missed] }), ask!.id);
  await play.settle();
  play.socket.say("private", { room, seq: 8, from: "Alice", to: "Bob", text: "from my phone", ts: 0 });
  assert.deepEqual(play.told(), [`${room} 7 Bob: psst`, `${room} 8 Alice: from my phone`]);
});
