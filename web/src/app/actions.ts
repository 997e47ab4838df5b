/** What a user does with messages and rooms. Whatever fails is told as a passing notice. */
import type { Signal } from "@preact/signals";
import { platform, type Found, type Parlour, type Role, type Seq, type Settings } from "../sdk/index.ts";
import type { Conversation, Draft, Line } from "./conversation.ts";
import { explain } from "./explain.ts";
import { mentionsIn } from "./mentions.ts";
import type { Offer } from "./sanctions.ts";

/** What actions need of the page. */
interface Page {
  readonly user: Signal<string>;
  readonly trouble: Signal<string>;
  show(room: string): void;
  loadOlder(conversation: Conversation, limit?: number): Promise<void>;
}

/** Messages of one page on the way back to a wanted one. */
const JUMP_PAGE = 500;
/** Most pages on that way. */
const JUMP_PAGES = 40;

export class Actions {
  readonly #parlour: Parlour;
  readonly #page: Page;
  /** Messages that were looked up alone, so that each is asked for once. */
  readonly #lookedUp = new Set<string>();

  constructor(parlour: Parlour, page: Page) {
    this.#parlour = parlour;
    this.#page = page;
  }

  /** Carries out what is written: a message, a reply, or another text of a message. */
  write(conversation: Conversation, text: string, known: Iterable<string>): void {
    const { room, intent, thread } = conversation;
    const mentions = mentionsIn(text, known);
    const meant = intent.value;
    intent.value = { kind: "say" };
    if (meant.kind === "edit") return this.#attempt(this.#parlour.edit(room, meant.target, text, { mentions }));
    const replyTo = meant.kind === "reply" ? meant.to : thread.value;
    this.send(conversation, { cid: platform.unique(), text, ts: Date.now(), replyTo, mentions });
  }

  /** Sends a message, or a failed one again: the same cid is stored once. */
  send(conversation: Conversation, { failure: _, ...draft }: Draft): void {
    const { room, peer } = conversation;
    const { cid, text, replyTo, mentions } = draft;
    conversation.setDraft(draft);
    const extras = {
      cid,
      ...(replyTo !== undefined && { reply_to: replyTo }),
      ...(mentions.length > 0 && { mentions }),
    };
    const sent =
      peer === undefined ? this.#parlour.publish(room, text, extras) : this.#parlour.private(peer, text, extras);
    sent.catch((error: unknown) => conversation.setDraft({ ...draft, failure: explain(error) }));
  }

  delete({ room }: Conversation, { seq }: Line): void {
    this.#attempt(this.#parlour.delete(room, seq));
  }

  /** Adds the user's reaction, or takes it back. */
  react({ room }: Conversation, { seq, reactions }: Line, emoji: string): void {
    const isOn = reactions.find((tally) => tally.emoji === emoji)?.users.includes(this.#page.user.value) ?? false;
    this.#attempt(this.#parlour.react(room, seq, emoji, !isOn));
  }

  pin({ room, view }: Conversation, seq: Seq): void {
    this.#attempt(this.#parlour.pin(room, seq, !view.pins.includes(seq)));
  }

  search(query: string, room: string | undefined, before?: string): Promise<Found> {
    return this.#parlour.search({
      query,
      ...(room !== undefined && { room }),
      ...(before !== undefined && { before }),
    });
  }

  configure({ room }: Conversation, settings: Settings): Promise<unknown> {
    return this.#parlour.configure(room, settings);
  }

  sanction({ room }: Conversation, user: string, { kind, for_ms }: Offer): void {
    const { moderation } = this.#parlour;
    const terms = for_ms === undefined ? {} : { for_ms };
    this.#attempt(kind === "kick" ? moderation.kick(room, user) : moderation[kind](room, user, terms));
  }

  pardon({ room }: Conversation, user: string): void {
    this.#attempt(this.#parlour.moderation.pardon(room, user));
  }

  report({ room }: Conversation, { seq }: Line): void {
    this.#attempt(this.#parlour.moderation.report(room, seq));
  }

  setRole({ room }: Conversation, user: string, role: Role | undefined): void {
    this.#attempt(this.#parlour.setRole(room, user, role));
  }

  /** Creates a room and opens it. */
  async create(room: string, settings: Settings): Promise<void> {
    await this.#parlour.create(room, settings);
    this.#page.show(room);
  }

  /** Shows a thread alone, with what of it is not loaded. */
  async openThread(conversation: Conversation, root: Seq): Promise<void> {
    conversation.thread.value = root;
    conversation.refresh();
    const { room, view } = conversation;
    try {
      view.take(await this.#parlour.history({ room, thread: root, limit: JUMP_PAGE }));
      conversation.refresh();
    } catch (error) {
      this.#page.trouble.value = explain(error);
    }
    this.lookUp(conversation, root);
  }

  closeThread(conversation: Conversation): void {
    conversation.thread.value = undefined;
    conversation.refresh();
  }

  /** Fetches one message that is quoted or pinned and not loaded. */
  lookUp(conversation: Conversation, seq: Seq): void {
    const { room, view } = conversation;
    const key = `${seq} ${room}`;
    if (view.message(seq) || this.#lookedUp.has(key)) return;
    this.#lookedUp.add(key);
    this.#parlour.history({ room, before: seq + 1n, limit: 1 }).then(
      (page) => {
        view.take(page);
        conversation.refresh();
      },
      () => {},
    );
  }

  /** Brings a message onto the page, loading what lies between. Returns whether it is there. */
  async reach(conversation: Conversation, seq: Seq): Promise<boolean> {
    conversation.thread.value = undefined;
    for (let page = 0; page < JUMP_PAGES; page += 1) {
      const { oldest, older } = conversation;
      if (oldest !== undefined && oldest <= seq) break;
      if (older.value === "none") break;
      await this.#page.loadOlder(conversation, JUMP_PAGE);
    }
    conversation.refresh();
    return conversation.view.message(seq) !== undefined;
  }

  #attempt(change: Promise<unknown>): void {
    change.catch((error: unknown) => (this.#page.trouble.value = explain(error)));
  }
}
