/** Moderation in Chromium against a real server. PARLOUR_BIN names the binary. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { line, say, shot, Stage } from "./browser/stage.mjs";

const stage = new Stage();
let alice, bob;

before(async () => {
  await stage.open();
  alice = await stage.enter("Alice");
  await alice.keyboard.press("Control+k");
  await alice.getByRole("combobox").fill("club");
  await alice.getByRole("option", { name: /create a room/ }).click();
  const dialog = alice.getByRole("dialog");
  await dialog.getByLabel("Slow mode").selectOption("300");
  await dialog.getByRole("button", { name: "Create", exact: true }).click();
  await dialog.waitFor({ state: "detached" });
  bob = await stage.enter("Bob", "club");
});
after(() => stage.close());

/** Uses one of the actions against a member. */
async function moderate(page, user, ...actions) {
  await page.getByRole("button", { name: `Moderate ${user}` }).click();
  for (const name of actions) await page.getByRole("menuitem", { name, exact: true }).click();
}

test("the pace of a room is shown to those who have to wait", async () => {
  await bob.getByText("Slow mode: one message in 5 minutes.").waitFor();
  assert.equal(await alice.getByText("Slow mode: one message").count(), 0, "an owner need not wait");
});

test("members are silenced, and speak again; nobody else is offered that", async () => {
  await say(bob, "one");
  await line(alice, "one");
  assert.equal(await bob.getByRole("button", { name: "Moderate Alice" }).count(), 0);
  await alice.getByRole("complementary", { name: "Members" }).getByText("Bob").hover();
  await alice.getByRole("button", { name: "Moderate Bob" }).click();
  await shot(alice, "moderation");
  await alice.getByRole("menuitem", { name: "Silence for 10 minutes" }).click();
  for (const page of [alice, bob]) await page.getByText("silenced Bob for 10 minutes").waitFor();
  await say(bob, "but");
  await bob.getByText("You are silenced in this room for another 10 min.").first().waitFor();
  await moderate(alice, "Bob", "Let speak again");
  await bob.getByText("took back what was done to Bob").waitFor();
});

test("what puts somebody out is asked about twice", async () => {
  await moderate(alice, "Bob", "Ban for a day", "Ban for a day: sure?");
  await alice.getByText("banned Bob for 1 day").waitFor();
  await bob.getByText("You are no longer in this room.").waitFor();
  await bob.reload();
  await bob.getByText("You are banned from this room for another 1440 min.").first().waitFor();
});

test("nothing complained", () => {
  assert.deepEqual(stage.complaints, []);
});
