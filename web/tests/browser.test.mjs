/** The web client in Chromium against a real server. PARLOUR_BIN names the binary. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isOnline, line, lines, notices, say, setHidden, shot, Stage } from "./browser/stage.mjs";

const stage = new Stage();
let alice, bob;

before(async () => {
  await stage.open();
  alice = await stage.enter("Alice");
  bob = await stage.enter("Bob");
});
after(() => stage.close());

test("two pages talk, and each message is shown once", async () => {
  await alice.locator(".notice", { hasText: "Bob joined" }).waitFor();
  await say(alice, "Good morning, Bob");
  assert.equal(await (await line(bob, "Good morning, Bob")).count(), 1);
  await say(bob, "Good morning!\nHow are you?");
  assert.equal(await (await line(alice, "Good morning!\nHow are you?")).count(), 1);
  assert.deepEqual(await lines(alice), await lines(bob));
  assert.equal(await alice.locator(".draft").count(), 0);
});

test("Shift+Enter breaks the line, Enter sends", async () => {
  const field = alice.locator(".composer textarea");
  await field.pressSequentially("one");
  await field.press("Shift+Enter");
  await field.pressSequentially("two");
  await field.press("Enter");
  await line(bob, "one\ntwo");
  assert.equal(await field.inputValue(), "");
});

test("a reload keeps the history and gives no notice", async () => {
  const before = await lines(bob);
  await bob.reload();
  await isOnline(bob);
  await line(bob, "Good morning, Bob");
  assert.deepEqual(await lines(bob), before);
  // Carol's notices come after any that the reload would have caused.
  const carol = await stage.enter("Carol");
  await alice.locator(".notice", { hasText: "Carol joined" }).waitFor();
  await carol.getByRole("button", { name: "Sign out" }).click();
  await alice.locator(".notice", { hasText: "Carol left" }).waitFor();
  assert.deepEqual(await notices(alice), ["Bob joined", "Carol left"]);
  await alice.locator(".member.offline", { hasText: "Carol" }).waitFor();
  await carol.context().close();
});

test("another room hears nothing, and unread messages are counted", async () => {
  const dora = await stage.enter("Dora", "quiet corner");
  await say(alice, "not for the corner");
  await line(bob, "not for the corner");
  await say(dora, "only here");
  await line(dora, "only here");
  assert.deepEqual(await lines(dora), ["only here"]);
  await openBySwitcher(alice, "quiet");
  await line(alice, "only here");
  await say(bob, "for later");
  const row = alice.locator(".row", { hasText: "general" });
  await row.locator(".badge", { hasText: "1" }).waitFor();
  await alice.waitForFunction(() => document.title.startsWith("(1) "));
  await row.locator(".row-main").click();
  await line(alice, "for later");
  await row.locator(".badge").waitFor({ state: "detached" });
  await alice.locator(".day.new").waitFor();
  await dora.context().close();
});

test("typing and presence appear and go", async () => {
  const field = bob.locator(".composer textarea");
  await field.pressSequentially("hm");
  await alice.getByText("Bob is typing").waitFor();
  await shot(alice, "typing");
  await field.fill("");
  await alice.getByText("Bob is typing").waitFor({ state: "detached" });
  await setHidden(bob, true);
  await alice.locator(".member.away", { hasText: "Bob" }).waitFor();
  await setHidden(bob, false);
  await alice.locator(".member.online", { hasText: "Bob" }).waitFor();
});

test("a private message reaches its recipient only, who may be away", async () => {
  const eve = await stage.enter("Eve");
  await alice.locator(".member .row-main", { hasText: "Bob" }).click();
  await say(alice, "between us");
  await line(alice, "between us");
  const row = bob.locator(".row", { hasText: "Alice" });
  await row.locator(".badge").first().waitFor();
  await bob
    .getByLabel("Rooms")
    .getByRole("button", { name: /Alice.*unread/ })
    .click();
  await line(bob, "between us");
  await say(bob, "understood");
  await line(alice, "understood");
  await shot(alice, "private");
  await alice.locator(".row-main", { hasText: "general" }).click();
  await bob.locator(".row-main", { hasText: "general" }).click();
  await say(alice, "in the open");
  await line(eve, "in the open");
  assert.equal(
    (await eve.getByText("between us").count()) + (await eve.locator(".rooms .row", { hasText: "Alice" }).count()),
    0,
  );
  await eve.context().close();
});

test("hostile texts are inert", async () => {
  const hostile = [
    '<img src=x onerror="document.title=1/0;alert(1)"><script>alert(2)</script>',
    "javascript:alert(3) data:text/html,<b>x</b>",
    "\u202Egnp.exe \u2066 https://example.com/\u202Etxt",
    '"},"user":"admin',
  ];
  for (const text of hostile) {
    await say(alice, text);
    await line(bob, text);
  }
  await say(alice, "look (https://example.com/a_(b)?q=1), or http://localhost.");
  await bob.locator(".text a", { hasText: "a_(b)" }).waitFor();
  const links = await bob.locator(".text a").evaluateAll((all) => all.map((a) => [a.href, a.rel, a.textContent]));
  assert.deepEqual(links, [
    ["https://example.com/", "noopener noreferrer", "https://example.com/"],
    ["https://example.com/a_(b)?q=1", "noopener noreferrer", "https://example.com/a_(b)?q=1"],
    ["http://localhost/", "noopener noreferrer", "http://localhost"],
  ]);
  assert.equal(await bob.locator(".line img, .line script, .line b").count(), 0);
});

test("a message that is refused says so, and can be tried again or discarded", async () => {
  const field = alice.locator(".composer textarea");
  // Half of a character: what a keyboard does not write and the server does not store.
  await field.evaluate((element) => {
    element.value = "half \ud83d";
    element.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await field.press("Enter");
  const failed = alice.locator(".draft.failed");
  await failed.getByText("Not sent").waitFor();
  await shot(alice, "failed");
  await failed.getByRole("button", { name: "Try again" }).click();
  await failed.getByText("Not sent").waitFor();
  await failed.getByRole("button", { name: "Discard" }).click();
  await failed.waitFor({ state: "detached" });
});

test("a plain WebSocket from a console talks along", async () => {
  await alice.evaluate(() => {
    window.heard = [];
    window.plain = new WebSocket(`ws://${location.host}/ws?room=general&user=Mallory`);
    window.plain.onmessage = ({ data }) => window.heard.push(data);
    return new Promise((resolve) => (window.plain.onopen = resolve));
  });
  await alice.evaluate(() => window.plain.send("hello from the console"));
  await line(bob, "hello from the console");
  await say(bob, "hello, console");
  await alice.waitForFunction(() => window.heard.some((text) => text.includes("Bob: hello, console")));
  await alice.evaluate(() => window.plain.close(1000));
});

test("earlier messages are loaded when one scrolls back", async () => {
  const frank = await stage.enter("Frank", "archive");
  await frank.evaluate(async () => {
    // Several writers, because each may only say twenty things at once.
    for (let n = 1; n <= 130;) {
      const socket = new WebSocket(`ws://${location.host}/ws?room=archive&user=Archivist ${n}`);
      await new Promise((resolve) => (socket.onopen = resolve));
      for (const end = Math.min(n + 15, 131); n < end; n += 1) {
        const told = new Promise(
          (resolve) => (socket.onmessage = ({ data }) => data.endsWith(`: record ${n}`) && resolve()),
        );
        socket.send(`record ${n}`);
        await told;
      }
      socket.close(1000);
    }
  });
  await line(frank, "record 130");
  await frank.reload();
  await line(frank, "record 130");
  await frank.waitForFunction(() => document.querySelectorAll(".line").length >= 50);
  const first = Number(await frank.locator(".line").first().getAttribute("data-seq"));
  assert.ok(first > 50, `only the newest are there: from ${first}`);
  const placeOf = (seq) =>
    frank.evaluate((seq) => document.querySelector(`[data-seq="${seq}"]`).getBoundingClientRect().top, seq);
  await frank.evaluate(() => (document.querySelector(".timeline").scrollTop = 100));
  const top = await placeOf(first);
  await frank.getByText(`record ${first - 50}`, { exact: true }).waitFor({ state: "attached" });
  const moved = await placeOf(first);
  assert.ok(Math.abs(moved - top) < 60, `what one reads stays in place: ${top} -> ${moved}`);
  await frank.getByRole("button", { name: "Newest messages" }).click();
  await frank.locator(".to-end").waitFor({ state: "detached" });
  await frank.context().close();
});

test("names that are refused are explained at the door", async () => {
  const page = await stage.page();
  await page.goto(`${stage.server.address}#library`);
  assert.equal(await page.getByLabel("Room").inputValue(), "library", "the address names the room");
  await page.getByLabel("Your name").fill("аdmin");
  await page.getByRole("button", { name: "Enter" }).click();
  await page.getByRole("alert").filter({ hasText: "look alike" }).waitFor();
  await shot(page, "door-refused");
  await page.getByLabel("Your name").fill("Grace");
  await page.getByRole("button", { name: "Enter" }).click();
  await isOnline(page);
  assert.equal(new URL(page.url()).hash, "#library");
  await page.context().close();
});

test("after a restart of the server both pages are back and nothing is missed", async () => {
  const before = await lines(alice);
  await stage.server.stop();
  await alice.getByText("Trying again in").waitFor();
  await shot(alice, "banner");
  await say(alice, "written while it was gone");
  await alice.locator(".draft.pending").waitFor();
  await stage.server.startAgain();
  await line(alice, "written while it was gone");
  await line(bob, "written while it was gone");
  await say(bob, "welcome back");
  await line(alice, "welcome back");
  const now = await lines(alice);
  assert.deepEqual(now.slice(-2), ["written while it was gone", "welcome back"]);
  assert.deepEqual(now.slice(-2 - before.length, -2), before);
  assert.deepEqual(await lines(bob), now);
  assert.equal(await alice.locator(".banner").count(), 0);
  assert.equal(await alice.locator(".rooms .badge").count(), 0, "what was read stays read");
  assert.deepEqual(
    (await notices(alice)).filter((text) => /Bob/.test(text)),
    ["Bob joined"],
    "nobody has come or gone",
  );
});

test("it is at home on a phone", async () => {
  const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };
  const page = await stage.enter("Heidi", "general", phone);
  await line(page, "welcome back");
  await shot(page, "phone");
  await page.getByRole("button", { name: /^Rooms/ }).tap();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  await page.waitForFunction(() => document.querySelector(".side.rooms").getBoundingClientRect().left === 0);
  await shot(page, "phone-rooms");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Sign out" }).waitFor({ state: "hidden" });
  await page.getByRole("button", { name: /^Members/ }).tap();
  await page.locator(".member", { hasText: "Alice" }).waitFor();
  await page.waitForFunction(() => document.querySelector(".side.members").getBoundingClientRect().right <= innerWidth);
  await shot(page, "phone-members");
  await page.keyboard.press("Escape");
  const width = await page.evaluate(() =>
    Math.max(document.documentElement.scrollWidth, document.querySelector(".timeline").scrollWidth),
  );
  assert.ok(width <= 360, `nothing is wider than the screen: ${width}`);
  const send = await page.getByRole("button", { name: "Send" }).boundingBox();
  assert.ok(send.x + send.width <= 360 && send.y + send.height <= 740, "one can send");
  await page.context().close();
});

test("pages look right in light and dark", async () => {
  await alice.emulateMedia({ colorScheme: "light" });
  await shot(alice, "light");
  await alice.emulateMedia({ colorScheme: "dark" });
  const [paper, ink] = await alice.evaluate(() => [
    getComputedStyle(document.body).backgroundColor,
    getComputedStyle(document.body).color,
  ]);
  assert.ok(luminance(paper) < 0.05 && luminance(ink) > 0.6, `${paper} ${ink}`);
  await shot(alice, "dark");
  await alice.keyboard.press("Control+k");
  await alice.getByRole("combobox").waitFor();
  await shot(alice, "switcher");
  await alice.keyboard.press("Escape");
  await alice.getByRole("combobox").waitFor({ state: "detached" });
});

test("no page asked another host or broke a rule of its content policy", () => {
  assert.deepEqual([...stage.hosts], [new URL(stage.server.address).host]);
  // Browsers report each refused connection of the restart by themselves.
  const unexpected = stage.complaints.filter((text) => !/WebSocket connection to .* failed/.test(text));
  assert.deepEqual(unexpected, []);
});

async function openBySwitcher(page, letters) {
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill(letters);
  await page.getByRole("option", { name: /corner/ }).waitFor();
  await page.keyboard.press("Enter");
}

/** Relative luminance of a colour (WCAG 2.2). */
function luminance(colour) {
  const linear = colour
    .match(/[\d.]+/g)
    .slice(0, 3)
    .map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}
