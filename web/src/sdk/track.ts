/**
 * One room's position. Every message of the room passes {@link Track.take}, whether live, replayed
 * or fetched, and leaves it once and in order.
 */
import type { Epoch, HistoryPage, Joined, Position, Seq, Unrecovered } from "./wire.ts";

export interface Numbered {
  seq: Seq;
}

/** What a track wants done. */
export interface TrackPort<M extends Numbered> {
  /** Hands a message on. */
  deliver(message: M): void;
  /** Tells that the copy of the room cannot be continued; what follows is a new beginning. */
  reset(reason: Unrecovered): void;
  /** Fetches messages after `seq`, oldest first. */
  fetch(after: Seq): Promise<Page<M>>;
}

export type Page<M> = Omit<HistoryPage, "messages" | "room"> & { messages: M[] };

/** The ends of a room, as the server tells them. */
interface Ends {
  epoch: Epoch;
  head: Seq;
  floor: Seq;
}

/** Most messages kept while a hole before them is repaired; the others are fetched again. */
const HELD = 500;

export class Track<M extends Numbered> {
  readonly #port: TrackPort<M>;
  readonly #window: bigint;
  #epoch: Epoch | undefined;
  /** The last message handed on; all before it were, too. */
  #last: Seq = 0n;
  /** The newest message known to exist. */
  #target: Seq = 0n;
  #held = new Map<Seq, M>();
  /** Counts beginnings, so that an answer to an older question is recognised. */
  #beginning = 0;
  #fetching = false;
  #restarted = false;

  /** @param window how many of the last messages to fetch at a new beginning */
  constructor(port: TrackPort<M>, window: number) {
    this.#port = port;
    this.#window = BigInt(window);
  }

  /** The position to resume after, once there is one. */
  get position(): Position | undefined {
    return this.#epoch === undefined ? undefined : { epoch: this.#epoch, seq: this.#last };
  }

  /** Begins after a position; later messages will be delivered. */
  begin(epoch: Epoch | undefined, last: Seq, target: Seq = last): void {
    this.#epoch = epoch;
    this.#last = last;
    this.#target = target;
    this.#held.clear();
    this.#fetching = false;
    this.#beginning += 1;
  }

  /** Takes the answer to a join; its replay follows through {@link take}. */
  joined(joined: Joined): void {
    const replayFrom = joined.head - BigInt(joined.replayed);
    if (this.#epoch === undefined) this.begin(joined.epoch, replayFrom, joined.head);
    else if (joined.recovered && joined.epoch === this.#epoch) this.#target = max(this.#target, joined.head);
    else this.resync(joined, joined.reason ?? "epoch");
  }

  /** Takes the news that the room cannot be continued as it was. */
  resync(ends: Ends, reason: Unrecovered): void {
    if (reason === "access") this.#port.reset(reason);
    else if (reason === "too_far" && ends.epoch === this.#epoch) {
      this.#target = max(this.#target, ends.head);
      this.repair();
    } else this.#restart(ends, reason);
  }

  /** Takes a message from wherever it comes. */
  take(message: M): void {
    if (message.seq <= this.#last) return;
    this.#target = max(this.#target, message.seq);
    if (message.seq === this.#last + 1n || this.#held.size < HELD) this.#held.set(message.seq, message);
    this.#drain();
    if (message.seq > this.#last) this.repair();
  }

  /** Learns that a message exists, as an ack tells. Does not fetch it: it is usually on its way. */
  expect(epoch: Epoch, seq: Seq): void {
    this.#epoch ??= epoch;
    if (epoch === this.#epoch) this.#target = max(this.#target, seq);
  }

  /** Fetches what is missing, if something is. */
  repair(): void {
    if (this.#last < this.#target) this.check();
  }

  /** Asks for anything after the position, though nothing is known to be missing. */
  check(): void {
    if (this.#fetching) return;
    this.#fetching = true;
    const beginning = this.#beginning;
    this.#port.fetch(this.#last).then(
      (page) => beginning === this.#beginning && this.#takePage(page),
      // Only a definite refusal arrives here: lost connections are waited for.
      () => beginning === this.#beginning && this.#giveUp(),
    );
  }

  #takePage(page: Page<M>): void {
    const before = this.#last;
    this.#epoch ??= page.epoch;
    if (page.epoch !== this.#epoch) return this.#restart(page, "epoch");
    if (page.head < before) return this.#restart(page, "ahead");
    if (page.floor > before) return this.#restart(page, "expired");
    // Still fetching, so that a hole inside the page does not ask again from within the loop.
    for (const message of page.messages) this.take(message);
    this.#fetching = false;
    this.#target = max(this.#target, page.head);
    if (this.#last === this.#target) this.#restarted = false;
    else if (this.#last > before) this.repair();
    else this.#restart(page, "expired");
  }

  /** Leaves what was and begins with the newest messages. */
  #restart(ends: Ends, reason: Unrecovered): void {
    if (this.#restarted && reason === "expired") return this.#giveUp();
    const isEmpty = this.#last === 0n;
    const later = reason === "epoch" ? [] : [...this.#held.values()].filter(({ seq }) => seq > ends.head);
    this.begin(ends.epoch, max(ends.floor, ends.head - this.#window), ends.head);
    this.#restarted = true;
    // A room without messages may have got another epoch; there is no copy of it to forget.
    if (!isEmpty) this.#port.reset(reason);
    for (const message of later) this.#held.set(message.seq, message);
    for (const { seq } of later) this.#target = max(this.#target, seq);
    if (this.#last === this.#target) this.#restarted = false;
    this.repair();
  }

  /** Goes on behind a hole that the server cannot fill, rather than asking for ever. */
  #giveUp(): void {
    const later = [...this.#held.values()].sort((a, b) => (a.seq < b.seq ? -1 : 1));
    if (!this.#restarted) this.#port.reset("expired");
    this.begin(this.#epoch, this.#target);
    this.#restarted = false;
    for (const message of later) this.#port.deliver(message);
  }

  #drain(): void {
    for (let next; (next = this.#held.get(this.#last + 1n));) {
      this.#held.delete(next.seq);
      this.#last = next.seq;
      this.#port.deliver(next);
    }
  }
}

const max = (a: Seq, b: Seq): Seq => (a > b ? a : b);
