/** Conversations of two people in Chromium against a real server. PARLOUR_BIN names the binary. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isOnline, line, lines, say, shot, Stage } from "./browser/stage.mjs";

const stage = new Stage();
let alice, bob;

before(async () => {
  await stage.open();
  alice = await stage.enter("Alice");
  bob = await stage.enter("Bob");
});
after(() => stage.close());

/** Uses one of the actions of a message. */
async function use(page, text, ...actions) {
  await (await line(page, text)).hover();
  for (const name of actions) await page.getByRole("toolbar").getByRole("button", { name, exact: true }).click();
}

const field = (page) => page.locator(".composer textarea");

test("an own message is edited with the arrow key, and everybody sees that it was", async () => {
  await say(alice, "a tpyo");
  await line(bob, "a tpyo");
  await field(alice).press("ArrowUp");
  await alice.getByText("Editing your message").waitFor();
  assert.equal(await field(alice).inputValue(), "a tpyo");
  await field(alice).fill("a typo");
  await field(alice).press("Enter");
  for (const page of [alice, bob]) {
    await (await line(page, "a typo")).getByText("edited", { exact: true }).waitFor();
    assert.equal(await page.getByText("a tpyo").count(), 0);
  }
  assert.equal(await field(alice).inputValue(), "");
  await field(alice).press("ArrowUp");
  await field(alice).press("Escape");
  assert.equal(await field(alice).inputValue(), "", "Escape gives up");
  await (await line(bob, "a typo")).hover();
  assert.equal(await bob.getByRole("button", { name: "Edit", exact: true }).count(), 0, "nobody edits others");
});

test("reactions are counted, and taken back", async () => {
  await use(bob, "a typo", "React", "React with 👍");
  const chip = (page, count) => page.getByRole("button", { name: new RegExp(`^👍 ${count}: `) });
  await chip(alice, 1).click();
  await chip(bob, 2).waitFor();
  assert.equal(await chip(bob, 2).getAttribute("aria-pressed"), "true");
  assert.equal(await chip(bob, 2).getAttribute("title"), "Bob, Alice");
  await shot(alice, "reactions");
  await chip(bob, 2).click();
  await chip(alice, 1).waitFor();
  await alice.reload();
  await isOnline(alice);
  await chip(alice, 1).waitFor();
});

test("a deleted message leaves a tombstone for everybody", async () => {
  await say(alice, "a secret");
  await line(bob, "a secret");
  await use(alice, "a secret", "Delete", "Keep");
  await use(alice, "a secret", "Delete", "Delete");
  await line(bob, "This message was deleted.");
  await line(alice, "This message was deleted.");
  assert.equal(await bob.getByText("a secret").count(), 0);
  await bob.reload();
  await line(bob, "This message was deleted.");
});

test("a reply quotes its message, leads there, and makes a thread", async () => {
  await say(alice, "who is in for lunch?");
  await use(bob, "who is in for lunch?", "Reply");
  await bob.getByText("Replying to Alice: who is in for lunch?").waitFor();
  await say(bob, "me");
  for (let n = 1; n <= 12; n += 1) await say(alice, `in between\n\n\n${n}`);
  const reply = await line(alice, "me");
  await line(bob, "in between\n\n\n12");
  await reply.locator(".quote").click();
  await alice.locator(".line.flash", { hasText: "who is in for lunch?" }).waitFor();
  await (await line(alice, "who is in for lunch?")).getByRole("button", { name: "1 reply" }).click();
  await alice.getByText("Thread · 2 messages").waitFor();
  await say(alice, "so am I");
  await alice.getByText("Thread · 3 messages").waitFor();
  assert.deepEqual(await lines(alice), ["who is in for lunch?", "me", "so am I"]);
  await shot(alice, "thread");
  await alice.getByRole("button", { name: "Close the thread" }).click();
  await line(alice, "in between\n\n\n12");
  await line(bob, "so am I");
});

test("a message is pinned, found among the pins, and unpinned", async () => {
  await use(alice, "so am I", "Pin");
  await bob.getByRole("button", { name: "Pinned messages: 1" }).click();
  await bob.getByRole("dialog").getByText("so am I").click();
  await bob.getByRole("dialog").waitFor({ state: "detached" });
  await bob.locator(".line.flash", { hasText: "so am I" }).waitFor();
  await use(bob, "so am I", "Unpin");
  await alice.getByRole("button", { name: /Pinned messages/ }).waitFor({ state: "detached" });
});

test("people are meant by their names, which are completed", async () => {
  const carol = await stage.enter("Carol Ann");
  await say(carol, "hello");
  await line(bob, "hello");
  await field(bob).pressSequentially("hi @ca");
  await bob.getByRole("option", { name: "Carol Ann" }).waitFor();
  await shot(bob, "mention");
  await field(bob).press("Enter");
  assert.equal(await field(bob).inputValue(), "hi @Carol Ann ");
  await field(bob).press("Enter");
  await (await line(carol, "hi @Carol Ann")).locator(".mention.me").waitFor();
  assert.equal(await (await line(alice, "hi @Carol Ann")).locator(".mention.me").count(), 0);
  await carol.context().close();
});

test("who has read is told, with names", async () => {
  await say(alice, "read me");
  await line(bob, "read me");
  const told = alice.locator(".read-by");
  await told.filter({ hasText: /^Read by \d of \d/ }).waitFor();
  assert.match(await told.getAttribute("aria-label"), /Bob/);
  await told.hover();
  await shot(alice, "receipts");
});

test("unread messages are counted in every room, and a line shows where they begin", async () => {
  await openRoom(bob, "elsewhere");
  await say(alice, "for @Bob later");
  await say(alice, "and more");
  const badge = bob.locator(".row", { hasText: "general" }).locator(".badge");
  await badge.filter({ hasText: "@2" }).waitFor();
  // The server knows it too: a browser that remembers nothing of it counts the same.
  const other = await stage.page();
  await other.goto(stage.server.address);
  const memory = { user: "Bob", room: "elsewhere", rooms: ["elsewhere", "general"] };
  await other.evaluate((memory) => localStorage.setItem("parlour", JSON.stringify(memory)), memory);
  await other.reload();
  await isOnline(other);

  await other.locator(".row", { hasText: "general" }).locator(".badge").filter({ hasText: "@2" }).waitFor();
  await other.context().close();
  await bob.locator(".row", { hasText: "general" }).locator(".row-main").click();
  const divider = bob.locator(".day.new");
  await divider.waitFor();
  assert.equal(
    await divider.evaluate((element) => element.nextElementSibling.querySelector(".text")?.textContent),
    "for @Bob later",
  );
  await badge.waitFor({ state: "detached" });
});

test("words are found, marked, and lead to their message", async () => {
  await alice.getByRole("button", { name: "Search messages" }).click();
  const dialog = alice.getByRole("dialog");
  await dialog.getByRole("searchbox").fill("LUNCH who");
  await dialog.getByRole("button", { name: "Search" }).click();
  await dialog.locator("mark", { hasText: "lunch" }).waitFor();
  assert.equal(await dialog.locator(".hit").count(), 1);
  await shot(alice, "search");
  await dialog.locator(".hit").click();
  await alice.locator(".line.flash", { hasText: "who is in for lunch?" }).waitFor();
  await alice.keyboard.press("Control+Shift+F");
  await dialog.getByRole("searchbox").fill("secret");
  await dialog.getByRole("searchbox").press("Enter");
  await dialog.getByText("Nothing was found.").waitFor();
  await alice.keyboard.press("Escape");
});

test("a private room is created, entered by members only, and closed to those who are removed", async () => {
  await alice.keyboard.press("Control+k");
  await alice.getByRole("combobox").fill("board");
  await alice.getByRole("option", { name: /create a room/ }).click();
  const dialog = alice.getByRole("dialog");
  await dialog.getByLabel("Title").fill("The board");
  await dialog.getByLabel("Private").check();
  await dialog.getByRole("button", { name: "Create", exact: true }).click();
  await alice.locator(".title", { hasText: "The board" }).waitFor();
  await say(alice, "members only");
  await openRoom(bob, "board");
  await bob.getByRole("alert").filter({ hasText: "not open to you" }).waitFor();

  await alice.getByRole("button", { name: "About this room" }).click();
  await dialog.getByLabel("Topic").fill("Tea and cake");
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("Saved.").waitFor();
  await dialog.getByLabel("Name of a new member").fill("Bob");
  await dialog.getByRole("button", { name: "Add member" }).click();
  await dialog.getByLabel("Role of Bob").waitFor();
  await shot(alice, "details");
  await dialog.getByRole("button", { name: "Close" }).click();
  await alice.getByText("set the topic to “Tea and cake”").waitFor();

  await openRoom(bob, "general");
  await openRoom(bob, "board");
  await line(bob, "members only");
  await bob.locator(".topic", { hasText: "Tea and cake" }).waitFor();
  await say(bob, "thank you");
  await line(alice, "thank you");
  await alice.getByRole("button", { name: "About this room" }).click();
  await dialog.getByLabel("Role of Bob").selectOption("none");
  await bob
    .getByRole("alert")
    .filter({ hasText: /no longer|may no longer/ })
    .waitFor();
  await dialog.getByRole("button", { name: "Close" }).click();
  await openRoom(alice, "general");
  await openRoom(bob, "general");
});

test("what was missed for long comes in parts, all of it", async () => {
  await bob.goto("about:blank");
  await say(alice, "the last before the flood");
  await alice.evaluate(async () => {
    // Many writers, because each may only say twenty things at once.
    for (let n = 1; n <= 1_050;) {
      const socket = new WebSocket(`ws://${location.host}/ws?room=general&user=Writer ${n}`);
      await new Promise((resolve) => (socket.onopen = resolve));
      for (const end = Math.min(n + 15, 1_051); n < end; n += 1) {
        const told = new Promise(
          (resolve) => (socket.onmessage = ({ data }) => data.endsWith(`: drop ${n}`) && resolve()),
        );
        socket.send(`drop ${n}`);
        await told;
      }
      socket.close(1000);
    }
  });
  await bob.context().addInitScript(() => {
    window.caughtUp = [];
    new MutationObserver(() => {
      const text = document.querySelector(".catching")?.textContent;
      if (text && window.caughtUp.at(-1) !== text) window.caughtUp.push(text);
    }).observe(document, { subtree: true, childList: true, characterData: true });
  });
  await bob.goto(`${stage.server.address}#general`);
  await line(bob, "drop 1050");
  const parts = await bob.evaluate(() => window.caughtUp);
  assert.ok(parts.length >= 1 && parts.every((text) => /^Catching up: \d+ to go/.test(text)), parts.join());
  const drops = (await lines(bob)).filter((text) => text.startsWith("drop "));
  const first = Number(drops[0].slice(5));
  assert.deepEqual(
    drops,
    Array.from({ length: 1_050 - first + 1 }, (_, n) => `drop ${first + n}`),
  );
  assert.ok(drops.length >= 900, `${drops.length} of them are kept by the page`);
});

test("everything can be done with the keyboard alone", async () => {
  await openRoom(alice, "keys");
  await say(alice, "press a key");
  await line(alice, "press a key");
  await alice.getByRole("log").focus();
  await alice.keyboard.press("ArrowUp");
  await alice.keyboard.press("Tab");
  await alice.keyboard.press("Enter");
  await alice.getByRole("toolbar", { name: "Reactions" }).waitFor();
  await alice.getByRole("button", { name: "React with 🎉" }).press("Enter");
  await alice.getByRole("button", { name: /^🎉 1: Alice/ }).waitFor();
});

test("a phone has it all within its width", async () => {
  const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };
  const page = await stage.enter("Heidi", "keys", phone);
  await (await line(page, "press a key")).tap();
  await page.getByRole("toolbar").getByRole("button", { name: "Reply" }).waitFor();
  await shot(page, "phone-handles");
  await page.getByRole("toolbar").getByRole("button", { name: "React" }).tap();
  const box = await page.getByRole("toolbar").boundingBox();
  assert.ok(box.x >= 0 && box.x + box.width <= 360, JSON.stringify(box));
  await page.getByRole("button", { name: "React with 👍" }).tap();
  await alice.getByRole("button", { name: /^👍 1: Heidi/ }).waitFor();
  await page.getByRole("button", { name: "About this room" }).tap();
  await page.getByRole("dialog").getByText("open to all").waitFor();
  await shot(page, "phone-details");
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 360, `nothing is wider than the screen: ${width}`);
  await page.context().close();
});

test("nothing complained", () => {
  assert.deepEqual([...stage.hosts].filter(Boolean), [new URL(stage.server.address).host]);
  assert.deepEqual(stage.complaints, []);
});

async function openRoom(page, room) {
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill(room);
  await page
    .getByRole("option", { name: new RegExp(room) })
    .first()
    .waitFor();
  await page.keyboard.press("Enter");
  await page.waitForFunction((room) => decodeURIComponent(location.hash) === `#${room}`, room);
}
