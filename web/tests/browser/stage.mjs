/** A real server, a real browser, and the few gestures that the cases share. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const SHOTS = new URL("../screenshots/", import.meta.url).pathname;
const PATIENCE_MS = 15_000;

/** A `parlour dev` of its own, on a free port and with a fresh folder. */
export class Server {
  #data = mkdtempSync(join(tmpdir(), "parlour-web-"));
  #process;
  /** Where the banner says that the client is, with a slash at its end. */
  address = "";

  async start(listen = "127.0.0.1:0") {
    // The server takes every PARLOUR_ variable for an option of its own.
    const { PARLOUR_BIN: binary, ...env } = process.env;
    if (!binary) throw new Error("PARLOUR_BIN must name the parlour binary");
    const flags = ["dev", "--listen", listen, "--admin-listen", "127.0.0.1:0", "--data-dir", this.#data];
    this.#process = spawn(binary, flags, { env, stdio: ["ignore", "pipe", "inherit"] });
    for await (const line of createInterface({ input: this.#process.stdout })) {
      this.address = line.match(/http:\/\/127\.0\.0\.1:\d+\//)?.[0] ?? this.address;
      if (this.address) break;
    }
    if (!this.address) throw new Error("the server has printed no address");
    this.#process.stdout.resume();
  }

  async stop() {
    if (this.#process.exitCode === null && this.#process.kill("SIGTERM")) await once(this.#process, "exit");
  }

  /** Starts again on the same port, with the same data. */
  async startAgain() {
    const { host } = new URL(this.address);
    this.address = "";
    await this.start(host);
  }

  async remove() {
    await this.stop();
    rmSync(this.#data, { recursive: true, force: true });
  }
}

export class Stage {
  server = new Server();
  /** Everything that a browser complained about. */
  complaints = [];
  /** Hosts that a page asked for anything. */
  hosts = new Set();
  #browser;

  async open() {
    await this.server.start();
    this.#browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });
    mkdirSync(SHOTS, { recursive: true });
  }

  async close() {
    await this.#browser?.close();
    await this.server.remove();
  }

  /** Opens a page in a browser profile of its own. */
  async page(options = {}) {
    const context = await this.#browser.newContext({
      viewport: { width: 1200, height: 760 },
      locale: "en-GB",
      ...options,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("pageerror", (error) => this.complaints.push(String(error.stack)));
    page.on("console", (message) => message.type() === "error" && this.complaints.push(message.text()));
    page.on("request", (request) => this.hosts.add(new URL(request.url()).host));
    page.on("dialog", (dialog) => (this.complaints.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
    return page;
  }

  /** Opens a page for a user and enters a room by the form. */
  async enter(user, room = "general", options = {}) {
    const page = await this.page(options);
    await page.goto(this.server.address);
    await page.getByLabel("Your name").fill(user);
    await page.getByLabel("Room").fill(room);
    await page.getByRole("button", { name: "Enter" }).click();
    await isOnline(page);
    return page;
  }
}

export async function isOnline(page) {
  await page.locator('[data-state="online"]').waitFor({ state: "attached" });
  await page.locator(".composer textarea").waitFor();
}

/** Writes and sends by the keyboard. */
export async function say(page, text) {
  const field = page.locator(".composer textarea");
  await field.fill(text);
  await field.press("Enter");
}

/** Waits until a stored line with exactly this text is shown, and returns it. */
export async function line(page, text) {
  const found = page.locator(".line:not(.draft)").filter({ has: page.getByText(text, { exact: true }) });
  await found.first().waitFor();
  return found;
}

export const lines = (page) => page.locator(".line .text").allTextContents();
export const notices = (page) => page.locator(".notice").allTextContents();
export const shot = (page, name) => page.screenshot({ path: join(SHOTS, `${name}.png`) });

/** Makes the page believe that its tab is hidden or shown; headless tabs are always visible. */
export async function setHidden(page, isHidden) {
  await page.evaluate(
    (state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    },
    isHidden ? "hidden" : "visible",
  );
}
