/** The rooms and private conversations that a client follows, each with its position. */
import type { Memory } from "./cursors.ts";
import type { Environment } from "./environment.ts";
import { Refused } from "./refused.ts";
import type { Requests } from "./requests.ts";
import { Track } from "./track.ts";
import * as wire from "./wire.ts";

/** What happens in rooms. */
export interface RoomEvents extends wire.Entries, wire.Notices {
  /** Every entry of a room's log with its name: each comes once, and those of a room in order. */
  entry: wire.Entry;
  /** The room is entered, again or for the first time; replayed entries follow. */
  joined: wire.Joined;
  /** The room is left; `code` and `message` say why, where the client did not ask for it. */
  left: { room: string; code?: string; message?: string };
  /** So many entries are still to come before live ones. */
  behind: { room: string; behind: number };
  /** Entries before the next one may be missing: forget the copy of the room. */
  reset: { room: string; reason: wire.Unrecovered };
}

type Emit = <K extends keyof RoomEvents>(type: K, payload: RoomEvents[K]) => void;

/** What a client wants done about the rooms that it follows. */
export interface RoomsPort {
  environment: Environment;
  requests: Requests;
  memory: Memory;
  emit: Emit;
}

interface Room {
  track: Track;
  history: number;
  /** Whether this connection is in the room. */
  attached: boolean;
}

/** Most private conversations that are followed; the one silent for longest makes place. */
const CONVERSATIONS = 16;
/** How long an own message may take from its ack to its arrival, in milliseconds. */
const ARRIVAL_MS = 2_000;
/** Most entries in one answer to `history`. */
const PAGE = 500;

export class Rooms {
  readonly #port: RoomsPort;
  readonly #rooms = new Map<string, Room>();
  readonly #conversations = new Map<string, Track>();
  #connections = 0;

  constructor(port: RoomsPort) {
    this.#port = port;
    // Private conversations of an earlier life are asked for with the first welcome.
    for (const room of port.memory
      .rooms()
      .filter((room) => room.startsWith("@"))
      .slice(-CONVERSATIONS)) {
      const { epoch, seq } = port.memory.get(room)!;
      this.#converse(room, seq, epoch);
    }
  }

  async join(name: string, history: number, since?: wire.Position): Promise<wire.Joined> {
    const room = this.#rooms.get(name) ?? this.#add(name, history, since ?? this.#port.memory.get(name));
    try {
      return await this.#ask(name, room);
    } catch (error) {
      if (!room.attached) this.#rooms.delete(name);
      throw error;
    }
  }

  /** Begins a room anew with its newest entries, without leaving it. */
  restart(name: string): Promise<wire.Joined> {
    const history = this.#rooms.get(name)?.history ?? 0;
    this.#rooms.delete(name);
    this.#port.memory.set(name, undefined);
    return this.join(name, history);
  }

  leave(room: string): Promise<{ room: string }> {
    this.#rooms.delete(room);
    this.#port.memory.set(room, undefined);
    return this.#port.requests.ask("leave", { room });
  }

  /** Rooms with a position; the others are asked for by their own `join`. */
  toResume(): { room: string; since: wire.Position }[] {
    return [...this.#rooms].flatMap(([room, { track }]) => (track.position ? [{ room, since: track.position }] : []));
  }

  /** Asks for rooms that the server did not resume, and for what was said in private meanwhile. */
  welcomed(resuming: string[]): void {
    const resumed = new Set(resuming);
    this.rejoin((name) => !resumed.has(name));
    for (const track of this.#conversations.values()) track.check();
  }

  /** Asks for rooms that should have been resumed and were not. */
  rejoin(concerns: (name: string) => boolean = () => true): void {
    for (const [name, room] of this.#rooms) {
      if (room.attached || !room.track.position || !concerns(name)) continue;
      this.#ask(name, room).catch((error: Refused) => this.#lost(name, error));
    }
  }

  detached(): void {
    this.#connections += 1;
    for (const room of this.#rooms.values()) room.attached = false;
  }

  /** Whether this connection may speak in a room; the server itself refuses for unknown rooms. */
  maySpeak(room: string): boolean {
    return this.#rooms.get(room)?.attached ?? true;
  }

  position(room: string): wire.Position | undefined {
    return (this.#rooms.get(room)?.track ?? this.#conversations.get(room))?.position;
  }

  take(frame: wire.Frame): void {
    if (wire.isEntry(frame)) {
      const { room, seq } = frame.payload;
      const inside = this.#rooms.get(room);
      // What was on its way when the room was begun anew is not continued.
      if (inside && !inside.attached) return;
      const track = inside?.track ?? (room.startsWith("@") ? this.#converse(room, seq - 1n) : undefined);
      track?.take({ type: frame.type, payload: frame.payload } as wire.Entry);
    } else if (wire.isNotice(frame)) this.#port.emit(frame.type, frame.payload);
    else if (frame.type === "joined") this.#joined(frame.payload);
    else if (frame.type === "page") this.#paged(frame.payload);
    else if (frame.type === "left") this.#lost(frame.payload.room);
    else if (frame.type === "resync") this.#track(frame.payload.room)?.resync(frame.payload, frame.payload.reason);
  }

  /** Learns where an own message is stored. It arrives like everybody's; if not, it is fetched. */
  stored({ room, epoch, seq }: wire.Stored): void {
    const track = room.startsWith("@") ? this.#converse(room, seq - 1n, epoch) : this.#track(room);
    track?.expect(epoch, seq);
    if (track) this.#port.environment.after(ARRIVAL_MS, () => track.repair());
  }

  /** Begins to follow a private conversation whose newest page was read. */
  paged({ room, epoch, head }: wire.HistoryPage): void {
    // A conversation without messages is not stored yet, and may still get another epoch.
    if (!room.startsWith("@")) return;
    const track = this.#converse(room, head, head === 0n ? undefined : epoch);
    if (head > 0n) track.expect(epoch, 0n);
  }

  #track(room: string): Track | undefined {
    return this.#rooms.get(room)?.track ?? this.#conversations.get(room);
  }

  #add(name: string, history: number, since?: wire.Position): Room {
    const track = this.#newTrack(name, history);
    if (since) track.begin(since.epoch, since.seq);
    const room = { track, history, attached: false };
    this.#rooms.set(name, room);
    return room;
  }

  #newTrack(room: string, window: number): Track {
    const { requests } = this.#port;
    const track: Track = new Track(
      {
        deliver: (entry) => this.#deliver(room, track, entry),
        reset: (reason) => this.#port.emit("reset", { room, reason }),
        fetch: (after) => requests.ask("history", { room, after, limit: PAGE }),
        more: () => this.#askMore(room),
      },
      window,
    );
    return track;
  }

  /** Asks for the next part of what was missed; not at once, so that a page can show what it has got. */
  #askMore(room: string): void {
    const connection = this.#connections;
    this.#port.environment.after(0, () => {
      if (connection === this.#connections) this.#port.requests.ask("more", { room }).catch(() => {});
    });
  }

  #deliver(room: string, track: Track, entry: wire.Entry): void {
    this.#port.emit("entry", entry);
    this.#port.emit(entry.type as "message", entry.payload as wire.Message);
    if (track.position || !this.#port.memory.isKept) this.#port.memory.set(room, track.position);
    // A conversation that began with a message has not told its lineage, without which nothing can go on.
    else track.check();
  }

  #ask(name: string, { track, history }: Room): Promise<wire.Joined> {
    const since = track.position;
    return this.#port.requests.ask("join", { room: name, ...(since ? { since } : { history }) });
  }

  #joined(joined: wire.Joined): void {
    const room = this.#rooms.get(joined.room);
    if (!room) return;
    if (joined.reason === "access") return this.#lost(joined.room, { code: "access" });
    room.attached = true;
    this.#port.emit("joined", joined);
    if (joined.behind) this.#port.emit("behind", { room: joined.room, behind: joined.behind });
    // A listener may have begun the room anew.
    if (this.#rooms.get(joined.room) !== room) return;
    room.track.joined(joined);
    this.#port.memory.set(joined.room, room.track.position);
    this.#port.requests.flush();
  }

  #paged(page: wire.ReplayPage): void {
    this.#port.emit("behind", { room: page.room, behind: page.behind });
    this.#rooms.get(page.room)?.track.paged(page);
  }

  #lost(room: string, why?: { code: string; message?: string }): void {
    this.#rooms.delete(room);
    this.#port.memory.set(room, undefined);
    const { code, message } = why ?? {};
    this.#port.emit("left", { room, ...(code !== undefined && { code }), ...(message !== undefined && { message }) });
    // What waits to be said there is for the server to refuse.
    this.#port.requests.flush();
  }

  /** Returns the track of a private conversation, which begins after `last` if it is new. */
  #converse(room: string, last: wire.Seq, epoch?: wire.Epoch): Track {
    let track = this.#conversations.get(room);
    if (!track) {
      track = this.#newTrack(room, 50);
      track.begin(epoch, last);
    }
    this.#conversations.delete(room);
    this.#conversations.set(room, track);
    if (this.#conversations.size > CONVERSATIONS) this.#conversations.delete(this.#conversations.keys().next().value!);
    return track;
  }
}
