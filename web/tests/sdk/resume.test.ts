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
  assert.deepEqual([ask!.type, ask!.payload, rest], ["history", { room: "general", after: 6, limit: 500 }, []]);
  play.socket.messages(10);
  assert.deepEqual(play.told(), ["general 6 m6"]);
  play.socket.say("history", page([7, 8, 9, 10], {}), ask!.id);
  await play.settle();
  assert.deepEqual(play.told(), ["general 7 m7", "general 8 m8", "general 9 m9", "general 10 m10"]);
});

test("what was missed for long comes in pages, each when the last one was handed on", async () => {
  const play = new Play();
  await play.enter(5);
  await play.comeBack();
  play.socket.say("joined", joined({ head: 9, replayed: 2, behind: 2 }));
  play.socket.messages(6);
  await play.advance(10);
  assert.deepEqual(play.socket.heard(), [], "the part is not complete");
  play.socket.messages(7);
  assert.deepEqual(play.socket.heard(), [], "the page gets time to show it");
  await play.advance(0);
  const [more, ...rest] = play.socket.heard();
  assert.deepEqual([more!.type, more!.payload, rest], ["more", { room: "general" }, []]);
  // Two more were said meanwhile.
  play.socket.say("page", { room: "general", replayed: 2, behind: 2 }, more!.id);
  play.socket.messages(8, 9);
  await play.advance(0);
  const [last] = play.socket.heard();
  play.socket.say("page", { room: "general", replayed: 2, behind: 0 }, last!.id);
  play.socket.messages(10, 11, 12);
  await play.advance(10_000);
  assert.deepEqual(play.socket.heard(), [], "it is live");
  const told = play.told();
  assert.deepEqual(
    told.filter((line) => line.startsWith("general")),
    [6, 7, 8, 9, 10, 11, 12].map((seq) => `general ${seq} m${seq}`),
  );
  assert.deepEqual(
    told.filter((line) => line.startsWith("behind")),
    ["behind general 2", "behind general 2", "behind general 0"],
  );
});

test("a lost connection ends the paging of the last one", async () => {
  const play = new Play();
  await play.enter(5);
  await play.comeBack();
  play.socket.say("joined", joined({ head: 9, replayed: 1, behind: 3 }));
  play.socket.messages(6);
  await play.advance(0);
  assert.equal(play.socket.heard()[0]!.type, "more");
  play.socket.end(1006);
  await play.advance(2_000);
  const hello = await play.hello();
  assert.deepEqual(hello.payload.resume, [{ room: "general", since: { epoch: EPOCH, seq: 6 } }]);
  play.socket.say("welcome", { ...WELCOME, resuming: ["general"] }, hello.id);
  play.socket.say("joined", joined({ head: 9, replayed: 3 }));
  play.socket.messages(7, 8, 9);
  await play.advance(10_000);
  assert.deepEqual(play.socket.heard(), []);
  assert.equal(play.parlour.position("general")?.seq, 9n);
});

test("a room that forgets what is left while it is paged begins anew", async () => {
  const play = new Play();
  await play.enter(5);
  await play.comeBack();
  play.socket.say("joined", joined({ head: 90, replayed: 1, behind: 84 }));
  play.socket.messages(6);
  await play.advance(0);
  const [more] = play.socket.heard();
  play.socket.say("resync", { room: "general", reason: "expired", epoch: EPOCH, head: 90, floor: 90 }, more!.id);
  await play.settle();
  play.socket.messages(91);
  assert.deepEqual(
    play.told().filter((line) => !line.startsWith("behind")),
    ["general 6 m6", "reset general expired", "general 91 m91"],
  );
});

test("who missed too much begins anew, and nothing old is told then", async () => {
  const play = new Play();
  play.parlour.on("joined", ({ room, behind }) => behind && void play.parlour.restart(room));
  await play.enter(5);
  await play.comeBack();
  play.socket.say("joined", joined({ head: 9_000, replayed: 2, behind: 8_993 }));
  const [join, ...rest] = play.socket.heard();
  assert.deepEqual([join!.type, join!.payload, rest], ["join", { room: "general", history: 0 }, []]);
  play.socket.messages(6, 7);
  await play.advance(10);
  assert.deepEqual(play.socket.heard(), []);
  play.socket.say("joined", joined({ head: 9_000 }), join!.id);
  play.socket.messages(9_001);
  await play.advance(10_000);
  assert.deepEqual(
    play.told().filter((line) => line.startsWith("general")),
    ["general 9001 m9001"],
  );
  assert.deepEqual(play.socket.heard(), []);
});

test("entries of every kind count, and are told by their names", async () => {
  const play = new Play();
  await play.enter(1);
  const header = (seq: number) => ({ room: "general", seq, sender: "Bob", ts: 0 });
  play.socket.say("edited", { ...header(2), target: 1, text: "new" });
  play.socket.say("reacted", { ...header(3), target: 1, emoji: "+", active: true, count: 1 });
  play.socket.say("deleted", { ...header(4), target: 1 });
  play.socket.say("pinned", { ...header(7), target: 1, active: true });
  await play.settle();
  const [ask] = play.socket.heard();
  assert.deepEqual(ask!.payload, { room: "general", after: 4, limit: 500 });
  const missed = [
    { type: "room_changed", payload: { ...header(5), topic: "tea" } },
    { type: "role_changed", payload: { ...header(6), user: "Bob", role: "owner" } },
    { type: "pinned", payload: { ...header(7), target: 1, active: true } },
  ];
  play.socket.say("history", page([], { head: 7, events: missed }), ask!.id);
  await play.settle();
  assert.deepEqual(
    play.entries.splice(0).map(({ type, payload }) => `${payload.seq} ${type}`),
    ["2 edited", "3 reacted", "4 deleted", "5 room_changed", "6 role_changed", "7 pinned"],
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
  assert.deepEqual(ask!.payload, { room: "general", after: 7, limit: 500 });
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

test("who was slow is told anew who is there, and nothing is skipped", async () => {
  const play = new Play();
  await play.enter(5);
  play.socket.say("joined", joined({ head: 7, replayed: 2 }));
  play.socket.messages(6, 7, 8);
  await play.advance(10_000);
  assert.deepEqual(play.told(), ["general 6 m6", "general 7 m7", "general 8 m8"]);
  assert.deepEqual(play.socket.heard(), [], "nothing is left to ask");
  play.socket.say("resync", { room: "general", reason: "expired", epoch: EPOCH, head: 20, floor: 18 });
  play.socket.say("joined", joined({ head: 20, floor: 18 }));
  play.socket.messages(21);
  await play.advance(10_000);
  assert.deepEqual(play.told(), ["reset general expired", "general 21 m21"]);
  assert.deepEqual(play.socket.heard(), []);
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
  void play.parlour.publish("general", "hi");
  await play.settle();
  assert.deepEqual(play.told(), ["left general not_found"]);
  assert.equal(play.socket.heard()[0]!.type, "publish", "what waits to be said there is for the server to refuse");
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
  assert.deepEqual([ask!.type, ask!.payload], ["history", { room, after: 7, limit: 500 }]);
  const missed = { room, seq: 8, from: "Alice", to: "Bob", text: "from my phone", ts: 0 };
  play.socket.say("history", page([], { room, head: 8, events: [{ type: "private", payload: missed }] }), ask!.id);
  await play.settle();
  play.socket.say("private", { room, seq: 8, from: "Alice", to: "Bob", text: "from my phone", ts: 0 });
  assert.deepEqual(play.told(), [`${room} 7 Bob: psst`, `${room} 8 Alice: from my phone`]);
});
