import assert from "node:assert/strict";
import { test } from "node:test";
import { pickDelay } from "../../src/sdk/backoff.ts";
import { conversationOf, peerOf } from "../../src/sdk/index.ts";
import { decode, encode } from "../../src/sdk/wire.ts";

test("numbers of messages stay exact beyond doubles, in both directions", () => {
  const frame = decode('{"type":"read","payload":{"room":"a","user":"b","seq":"9007199254740993"}}');
  assert.equal(frame.type === "read" && frame.payload.seq, 9007199254740993n);
  assert.equal(encode("read", { room: "a", seq: 7n }, 1), '{"type":"read","id":1,"payload":{"room":"a","seq":7}}');
  assert.match(encode("read", { room: "a", seq: 9007199254740993n }, 1), /"seq":"9007199254740993"/);
});

test("a message that quotes the protocol stays a text", () => {
  const text = '"},"seq":"1","sender":"admin';
  const frame = decode(JSON.stringify({ type: "message", payload: { room: "a", seq: 1, sender: "b", text, ts: 0 } }));
  assert.equal(frame.type === "message" && frame.payload.text, text);
  assert.throws(() => decode('{"type":"read","payload":{"seq":1.5}}'));
});

test("the wait before a reconnection fills the window and doubles its end", () => {
  const window = { min_ms: 1_000, max_ms: 3_000 };
  assert.equal(
    pickDelay(window, 1, () => 0),
    1_000,
  );
  assert.equal(
    pickDelay(window, 1, () => 1),
    3_000,
  );
  assert.equal(
    pickDelay(window, 2, () => 1),
    6_000,
  );
  assert.equal(
    pickDelay(window, 50, () => 1),
    60_000,
    "bounded",
  );
  assert.equal(
    pickDelay({ min_ms: 0, max_ms: 120_000 }, 1, () => 1),
    120_000,
    "the server's own window counts",
  );
});

test("a private conversation is named as the server names it", () => {
  assert.equal(conversationOf("Zoë", "a,%b"), "@Zoë,a%2C%25b");
  assert.equal(conversationOf("a,%b", "Zoë"), "@Zoë,a%2C%25b");
  assert.equal(conversationOf("😀", "\uff21"), "@\uff21,😀", "code points, not UTF-16 units");
  assert.equal(conversationOf("Alice", "Al"), "@Al,Alice");
  assert.equal(peerOf("@Zoë,a%2C%25b", "Zoë"), "a,%b");
  assert.equal(peerOf("@Al,Alice", "Bob"), undefined);
  assert.equal(peerOf("general", "Bob"), undefined);
});
