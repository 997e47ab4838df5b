import assert from "node:assert/strict";
import { test } from "node:test";
import { Play, WELCOME } from "./play.ts";

test("hello is the first message and names the user", async () => {
  const play = new Play({ user: "Alice" });
  play.parlour.connect();
  assert.equal(play.socket.url, "ws://server/ws");
  assert.equal(play.socket.subprotocol, "parlour.json.v1");
  assert.deepEqual((await play.hello()).payload, { user: "Alice" });
  assert.equal(play.parlour.state.name, "connecting");
});

test("a token is asked for anew for every connection", async () => {
  let minted = 0;
  const play = new Play({ token: async () => `token-${(minted += 1)}` });
  play.parlour.connect();
  assert.deepEqual((await play.hello()).payload, { token: "token-1" });
  play.socket.end(1006);
  await play.advance(5_000);
  assert.deepEqual((await play.hello()).payload, { token: "token-2" });
});

test("a new token comes before the old one expires", async () => {
  let minted = 0;
  const play = new Play({
    token: async () => {
      minted += 1;
      if (minted === 2) throw new Error("the login is closed");
      return `token-${minted}`;
    },
  });
  play.parlour.connect();
  await play.welcome();
  play.socket.say("token_expiring", { expires_ms: 7 });
  await play.advance(2_999);
  assert.deepEqual(play.socket.heard(), [], "there is none yet");
  await play.advance(1);
  const [renewal] = play.socket.heard();
  assert.deepEqual([renewal?.type, renewal?.payload], ["hello", { token: "token-3" }]);
  play.socket.say("welcome", WELCOME, renewal?.id);
  assert.deepEqual(play.socket.heard(), [], "nothing begins anew");
  assert.equal(play.sockets.length, 1);
});

test("who can get another token comes back after expiry, others stop", async () => {
  for (const [token, sockets] of [[() => "fresh", 2], ["fixed", 1]] as const) {
    const play = new Play({ token });
    play.parlour.connect();
    await play.welcome();
    play.socket.end(1008, "token_expired");
    await play.advance(2_500);
    assert.equal(play.sockets.length, sockets);
  }
});

for (const code of [1001, 1006, 1011, 1012, 1013]) {
  test(`after close ${code} the client comes back within the welcome's window`, async () => {
    const play = new Play();
    play.parlour.connect();
    await play.welcome();
    play.socket.end(code, "because");
    const { state } = play.parlour;
    assert.deepEqual(state, { name: "waiting", attempt: 1, delay_ms: 2_000, code, reason: "because" });
    await play.advance(1_999);
    assert.equal(play.sockets.length, 1);
    await play.advance(1);
    assert.equal(play.sockets.length, 2);
  });
}

for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 4000]) {
  test(`after close ${code} the client stops and says why`, async () => {
    const play = new Play();
    play.parlour.connect();
    await play.welcome();
    const history = play.parlour.history({ room: "general" });
    play.socket.end(code, "too_many_errors");
    const { state } = play.parlour;
    assert.equal(state.name === "stopped" && state.reason, "too_many_errors");
    await assert.rejects(history, { code: "too_many_errors" });
    await play.advance(600_000);
    assert.equal(play.sockets.length, 1);
  });
}

test("goaway sets the window for the coming end", async () => {
  const play = new Play();
  play.parlour.connect();
  await play.welcome();
  play.socket.say("goaway", { reason: "restart", reconnect: { min_ms: 10_000, max_ms: 20_000 } });
  play.socket.end(1012, "restart");
  const { state } = play.parlour;
  assert.equal(state.name === "waiting" && state.delay_ms, 15_000);
});

test("failed attempts wait longer, a welcome makes the next wait short again", async () => {
  const play = new Play();
  play.random = 1;
  play.parlour.connect();
  await play.welcome();
  const waits = [];
  for (let attempt = 0; attempt < 6; attempt += 1) {
    play.socket.end(1006);
    const { state } = play.parlour;
    if (state.name !== "waiting") assert.fail(state.name);
    waits.push(state.delay_ms);
    await play.advance(state.delay_ms);
  }
  assert.deepEqual(waits, [3_000, 3_000, 6_000, 12_000, 24_000, 48_000]);
  await play.welcome();
  play.socket.end(1006);
  const { state } = play.parlour;
  assert.equal(state.name === "waiting" && state.delay_ms, 3_000);
});

test("connect during the wait connects at once, and once", async () => {
  const play = new Play();
  play.parlour.connect();
  await play.welcome();
  play.socket.end(1006);
  play.parlour.connect();
  play.parlour.connect();
  await play.advance(14_000);
  assert.equal(play.sockets.length, 2, "the timer of the wait is gone");
});

test("a refused hello stops the client with the server's word", async () => {
  const play = new Play();
  play.parlour.connect();
  play.socket.refuse((await play.hello()).id, "name_confusable");
  const { state } = play.parlour;
  assert.equal(state.name === "stopped" && state.reason, "name_confusable");
  assert.equal(play.socket.closedWith, 1000);
});

test("a hello that is refused for now is said again after the wait", async () => {
  const play = new Play();
  play.random = 0;
  play.parlour.connect();
  play.socket.refuse((await play.hello()).id, "overloaded", true, 7_000);
  await play.advance(6_999);
  assert.equal(play.sockets.length, 1);
  await play.advance(1);
  assert.equal(play.sockets.length, 2);
});

test("silence is asked about, and a connection without an answer is given up", async () => {
  const play = new Play();
  play.parlour.connect();
  await play.welcome();
  await play.advance(25_000);
  const [ping] = play.socket.heard();
  assert.equal(ping?.type, "ping");
  play.socket.say("pong", { server_time_ms: 1 }, ping!.id);
  await play.advance(34_999);
  assert.equal(play.parlour.state.name, "online");
  await play.advance(25_000 + 10_000);
  assert.equal(play.sockets.length > 1, true, "abandoned and replaced");
  assert.equal(play.sockets[0]!.closedWith, 4_000, "no goodbye");
});

test("a connection with traffic is not asked", async () => {
  const play = new Play();
  play.parlour.connect();
  await play.welcome();
  for (let second = 0; second < 100; second += 1) {
    await play.advance(1_000);
    play.socket.say("presence", { room: "general", user: "Bob", status: "away", last_active_ms: 0 });
  }
  assert.deepEqual(play.socket.heard(), []);
});

test("close says goodbye and refuses what waits", async () => {
  const play = new Play();
  play.parlour.connect();
  await play.welcome();
  const ping = play.parlour.ping();
  play.parlour.close();
  await assert.rejects(ping, { code: "closed" });
  assert.equal(play.socket.closedWith, 1000);
  play.socket.say("welcome", WELCOME);
  assert.equal(play.parlour.state.name, "stopped", "what comes late is not heard");
  play.parlour.connect();
  await play.welcome();
  assert.equal(play.parlour.state.name, "online");
});

test("a listener may close a client that has stopped, and the reason stays", async () => {
  const play = new Play();
  play.parlour.on("state", ({ name }) => name === "stopped" && play.parlour.close());
  play.parlour.connect();
  await play.welcome();
  play.socket.end(1008, "too_many_errors");
  const { state } = play.parlour;
  assert.equal(state.name === "stopped" && state.reason, "too_many_errors");
});

test("unreadable frames and unknown types do no harm", async () => {
  const play = new Play();
  play.parlour.connect();
  await play.welcome();
  play.socket.onmessage?.({ data: "{" });
  play.socket.say("novelty", { room: "general" });
  assert.match(play.told().join(), /^error [^,]*$/, "one error for the unreadable one");
  assert.equal(play.parlour.state.name, "online");
});
