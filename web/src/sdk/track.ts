/**
 * One room's position. Every entry of the room passes {@link Track.take}, whether live, replayed
 * or fetched, and leaves it once and in order.
 */
import type { Entry, Epoch, HistoryPage, Joined, Position, ReplayPage, Seq, Unrecovered } from "./wire.ts";

/** What a track wants done. */
export interface TrackPort {
  /** Hands an entry on. */
  deliver(entry: Entry): void;
  /** Tells that the copy of the room cannot be continued; what follows is a new beginning. */
  reset(reason: Unrecovered): void;
  /** Fetches entries after `seq`, oldest first. */
  fetch(after: Seq): Promise<HistoryPage>;
  /** Asks for the next part of what was missed: all before it was handed on. */
  more(): void;
}

/** The ends of a room, as the server tells them. */
interface Ends {
  epoch: Epoch;
  head: Seq;
  floor: Seq;
}

/** Most entries kept while a hole before them is repaired; the others are fetched again. */
const HELD = 500;

export class Track {
  readonly #port: TrackPort;
  readonly #window: bigint;
  #epoch: Epoch | undefined;
  /** The last entry handed on; all before it were, too. */
  #last: Seq = 0n;
  /** The newest entry known to exist. */
  #target: Seq = 0n;
  #held = new Map<Seq, Entry>();
  /** The part that is being told, while the server holds more back. */
  #part: { end: Seq; isAsked: boolean } | undefined;
  /** Counts beginnings, so that an answer to an older question is recognised. */
  #beginning = 0;
  #fetching = false;
  #restarted = false;

  /** @param window how many of the last entries to fetch at a new beginning */
  constructor(port: TrackPort, window: number) {
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
    this.#part = undefined;
    this.#fetching = false;
    this.#beginning += 1;
  }

  /** Takes the answer to a join; its replay follows through {@link take}. */
  joined(joined: Joined): void {
    const behind = BigInt(joined.behind ?? 0);
    const replayFrom = joined.head - behind - BigInt(joined.replayed);
    this.#part = undefined;
    if (this.#epoch === undefined) this.begin(joined.epoch, replayFrom, joined.head);
    else if (joined.recovered && joined.epoch === this.#epoch) this.#target = max(this.#target, joined.head);
    else return this.resync(joined, joined.reason ?? "epoch");
    if (behind > 0n) this.#awaitPart(joined.head - behind);
  }

  /** Takes the beginning of the next part of what was missed; its entries follow. */
  paged({ replayed, behind }: ReplayPage): void {
    if (!this.#part) return;
    const end = this.#part.end + BigInt(replayed);
    this.#part = undefined;
    if (behind > 0) this.#awaitPart(end);
  }

  /** Takes the news that the room cannot be continued as it was. */
  resync(ends: Ends, reason: Unrecovered): void {
    if (reason === "access") this.#port.reset(reason);
    // An answer that was faster has begun anew already.
    else if (reason !== "epoch" || ends.epoch !== this.#epoch) this.#restart(ends, reason);
  }

  /** Takes an entry from wherever it comes. */
  take(entry: Entry): void {
    const { seq } = entry.payload;
    if (seq <= this.#last) return;
    this.#target = max(this.#target, seq);
    if (seq === this.#last + 1n || this.#held.size < HELD) this.#held.set(seq, entry);
    this.#drain();
    if (seq > this.#last) this.check();
    else this.#askMore();
  }

  /** Learns that an entry exists, as an ack tells. Does not fetch it: it is usually on its way. */
  expect(epoch: Epoch, seq: Seq): void {
    this.#epoch ??= epoch;
    if (epoch === this.#epoch) this.#target = max(this.#target, seq);
  }

  /** Fetches what is missing, if something is, and the server does not hold it back. */
  repair(): void {
    if (this.#last < this.#target && !this.#part) this.check();
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

  #awaitPart(end: Seq): void {
    this.#part = { end, isAsked: false };
    this.#askMore();
  }

  #askMore(): void {
    if (!this.#part || this.#part.isAsked || this.#last < this.#part.end) return;
    this.#part.isAsked = true;
    this.#port.more();
  }

  #takePage(page: HistoryPage): void {
    const before = this.#last;
    this.#epoch ??= page.epoch;
    if (page.epoch !== this.#epoch) return this.#restart(page, "epoch");
    if (page.head < before) return this.#restart(page, "ahead");
    if (page.floor > before) return this.#restart(page, "expired");
    // Still fetching, so that a hole inside the page does not ask again from within the loop.
    for (const entry of page.events) this.take(entry);
    this.#fetching = false;
    this.#target = max(this.#target, page.head);
    if (this.#last === this.#target) this.#restarted = false;
    else if (this.#last > before) this.repair();
    else this.#restart(page, "expired");
  }

  /** Leaves what was and begins with the newest entries. */
  #restart(ends: Ends, reason: Unrecovered): void {
    if (this.#restarted && reason === "expired") return this.#giveUp();
    const isEmpty = this.#last === 0n;
    const later = reason === "epoch" ? [] : [...this.#held].filter(([seq]) => seq > ends.head);
    this.begin(ends.epoch, max(ends.floor, ends.head - this.#window), ends.head);
    this.#restarted = true;
    // A room without entries may have got another epoch; there is no copy of it to forget.
    if (!isEmpty) this.#port.reset(reason);
    for (const [seq, entry] of later) this.#held.set(seq, entry);
    for (const [seq] of later) this.#target = max(this.#target, seq);
    if (this.#last === this.#target) this.#restarted = false;
    this.repair();
  }

  /** Goes on behind a hole that the server cannot fill, rather than asking for ever. */
  #giveUp(): void {
    const later = [...this.#held].sort(([a], [b]) => (a < b ? -1 : 1));
    if (!this.#restarted) this.#port.reset("expired");
    this.begin(this.#epoch, this.#target);
    this.#restarted = false;
    for (const [, entry] of later) this.#port.deliver(entry);
  }

  #drain(): void {
    for (let next; (next = this.#held.get(this.#last + 1n));) {
      this.#last = next.payload.seq;
      this.#held.delete(this.#last);
      this.#port.deliver(next);
    }
  }
}

const max = (a: Seq, b: Seq): Seq => (a > b ? a : b);
