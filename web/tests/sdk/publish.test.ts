import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST_WAITING } from "../../src/sdk/requests.ts";
import { EPOCH, joined, message, page, Play } from "./play.ts";

const stored = (seq: number, more: object = {}) => ({ room: "general", epoch: EPOCH, seq, ts: 1, dup: false, ...more });

test("publishing waits for the ack", async () => {
  const play = new Play();
  await play.enter(0);
  const published = play.parlour.publish("general", "hi");
  const [publish] = play.socket.heard();
  assert.deepEqual(publish!.payload, { room: "general", text: "hi", cid: "cid-1" });
  play.socket.say("ack", stored(1), publish!.id);
  assert.deepEqual(await published, { ...stored(1), seq: 1n });
});

test("an unanswered message is sent again with the same cid once the room is entered again", async () => {
  const play = new Play();
  await play.enter(0);
  const published = play.parlour.publish("general", "hi");
  const [first] = play.socket.heard();
  await play.comeBack();
  assert.deepEqual(play.socket.heard(), [], "not before the room is entered");
  play.socket.say("joined", joined({ head: 0 }));
  const [second] = play.socket.heard();
  assert.deepEqual(second!.payload, first!.payload);
  play.socket.say("ack", stored(1, { dup: true }), second!.id);
  assert.equal((await published).dup, true);
});

test("messages that are written while offline go out in order, one after the other", async () => {
  const play = new Play();
  await play.enter(0);
  play.socket.end(1006);
  for (const text of ["one", "two", "three"]) void play.parlour.publish("general", text);
  await play.advance(2_000);
  await play.welcome({ resuming: ["general"] });
  play.socket.say("joined", joined({ head: 0 }));
  const sent: string[] = [];
  for (let seq = 1; seq <= 3; seq += 1) {
    const [publish, ...rest] = play.socket.heard();
    assert.deepEqual(rest, []);
    sent.push(publish!.payload.text);
    play.socket.say("ack", stored(seq), publish!.id);
    await play.settle();
  }
  assert.deepEqual(sent, ["one", "two", "three"]);
});

test("a retryable refusal is waited out, and later messages do not overtake", async () => {
  const play = new Play();
  await play.enter(0);
  void play.parlour.publish("general", "one");
  void play.parlour.publish("general", "two");
  play.socket.refuse(play.socket.heard()[0]!.id, "rate_limited", true, 900);
  await play.advance(899);
  assert.deepEqual(play.socket.heard(), []);
  await play.advance(1);
  assert.deepEqual(
    play.socket.heard().map(({ payload }) => payload.text),
    ["one"],
  );
});

test("a definite refusal breaks the promise and lets the next message go", async () => {
  const play = new Play();
  await play.enter(0);
  const one = play.parlour.publish("general", "one");
  void play.parlour.publish("general", "two");
  play.socket.refuse(play.socket.heard()[0]!.id, "forbidden");
  await assert.rejects(one, { name: "Refused", code: "forbidden", retryable: false });
  assert.deepEqual(
    play.socket.heard().map(({ payload }) => payload.text),
    ["two"],
  );
});

test("an own message that does not arrive after its ack is fetched", async () => {
  const play = new Play();
  await play.enter(0);
  void play.parlour.publish("general", "hi");
  play.socket.say("ack", stored(1), play.socket.heard()[0]!.id);
  await play.advance(2_000);
  const [ask] = play.socket.heard();
  assert.deepEqual(ask!.payload, { room: "general", after: 0, limit: 500 });
  play.socket.say("history", page([1], {}), ask!.id);
  await play.settle();
  assert.deepEqual(play.told(), ["general 1 m1"]);
});

test("an own message that arrives before or after its ack is told once", async () => {
  const play = new Play();
  await play.enter(0);
  void play.parlour.publish("general", "hi");
  play.socket.say("message", message(1));
  play.socket.say("ack", stored(1), play.socket.heard()[0]!.id);
  await play.advance(5_000);
  assert.deepEqual([play.told(), play.socket.heard()], [["general 1 m1"], []]);
});

test("the queue is bounded", async () => {
  const play = new Play();
  for (let n = 0; n < MOST_WAITING; n += 1) play.parlour.publish("general", "hi").catch(() => {});
  await assert.rejects(play.parlour.publish("general", "one too many"), { code: "overloaded", retryable: true });
});

test("a private message goes without a room and is told once", async () => {
  const play = new Play();
  play.parlour.connect();
  await play.welcome();
  const room = "@Alice,Bob";
  const sent = play.parlour.private("Bob", "psst");
  const [ask] = play.socket.heard();
  assert.deepEqual(ask!.payload, { to: "Bob", text: "psst", cid: "cid-1" });
  play.socket.say("ack", stored(3, { room }), ask!.id);
  await sent;
  play.socket.say("private", { room, seq: 3, from: "Alice", to: "Bob", text: "psst", ts: 1, cid: "cid-1" });
  assert.deepEqual(play.told(), [`${room} 3 Alice: psst`]);
  await play.advance(5_000);
  assert.deepEqual(play.socket.heard(), []);
});

test("typing is sent rarely, and never queued", async () => {
  const play = new Play();
  await play.enter(0);
  for (let key = 0; key < 50; key += 1) {
    play.parlour.typing("general", true);
    await play.advance(100);
  }
  assert.equal(play.socket.heard().length, 2);
  play.parlour.typing("general", false);
  play.parlour.typing("general", false);
  assert.deepEqual(
    play.socket.heard().map(({ payload }) => payload.active),
    [false],
  );
  play.socket.end(1006);
  play.parlour.typing("general", true);
  await play.advance(2_000);
  await play.welcome({ resuming: ["general"] });
  assert.deepEqual(play.socket.heard(), []);
});

test("presence is set again on the next connection", async () => {
  const play = new Play();
  await play.enter(0);
  void play.parlour.presence("away");
  assert.deepEqual(play.socket.heard()[0]!.payload, { status: "away" });
  await play.comeBack();
  const again = play.socket.heard().filter(({ type }) => type === "presence");
  assert.deepEqual(
    again.map(({ payload }) => payload),
    [{ status: "away" }, { status: "away" }],
  );
});

test("leaving stops following the room", async () => {
  const play = new Play();
  await play.enter(0);
  const left = play.parlour.leave("general");
  play.socket.messages(1);
  play.socket.say("left", { room: "general" }, play.socket.heard()[0]!.id);
  assert.deepEqual(await left, { room: "general" });
  assert.deepEqual(play.told(), ["left general undefined"]);
  await play.comeBack({});
  assert.deepEqual(play.socket.heard(), []);
});

test("moderators act, members report", async () => {
  const play = new Play();
  await play.enter(0);
  const { moderation } = play.parlour;
  void moderation.kick("general", "Bob", "enough");
  void moderation.mute("general", "Bob", { for_ms: 60_000 });
  void moderation.ban("general", "Bob");
  void moderation.pardon("general", "Bob");
  const said: unknown[] = [];
  for (let seq = 1; seq <= 4; seq += 1) {
    const [sanction] = play.socket.heard();
    const { cid, room, ...rest } = sanction!.payload;
    assert.ok(sanction!.type === "sanction" && cid && room === "general");
    said.push(rest);
    play.socket.say("ack", stored(seq), sanction!.id);
    await play.settle();
  }
  assert.deepEqual(said, [
    { user: "Bob", kind: "kick", reason: "enough" },
    { user: "Bob", kind: "mute", for_ms: 60_000 },
    { user: "Bob", kind: "ban" },
    { user: "Bob", kind: "none" },
  ]);
  const [reported, listed, resolved] = [
    moderation.report("general", 3n, "rude"),
    moderation.reports("general"),
    moderation.resolve("general", 3n),
  ];
  const [report, list, resolve] = play.socket.heard();
  assert.deepEqual(report!.payload, { room: "general", target: 3, reason: "rude" });
  play.socket.say("ack", {}, report!.id);
  play.socket.say("reports", { room: "general", reports: [{ target: 3, user: "Ann", ts: 1 }] }, list!.id);
  play.socket.say("ack", {}, resolve!.id);
  await Promise.all([reported, resolved]);
  assert.deepEqual(await listed, [{ target: 3n, user: "Ann", ts: 1 }]);
});
