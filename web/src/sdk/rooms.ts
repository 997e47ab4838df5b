/** The rooms and private conversations that a client follows, each with its position. */
import { peerOf } from "./conversation.ts";
import type { Environment } from "./environment.ts";
import { Refused } from "./refused.ts";
import type { Requests } from "./requests.ts";
import { Track } from "./track.ts";
import type * as wire from "./wire.ts";

/** What happens in rooms. */
export interface RoomEvents {
  /** The room is entered, again or for the first time; replayed messages follow. */
  joined: wire.Joined;
  /** The room is left; `code` says why, where the client did not ask for it. */
  left: { room: string; code?: string };
  /** A message; each comes once, and those of a room in order. */
  message: wire.Message;
  private: wire.PrivateMessage;
  /** Messages before the next one may be missing: forget the copy of the room. */
  reset: { room: string; reason: wire.Unrecovered };
  member_joined: wire.Membership;
  member_left: wire.Membership;
  typing: wire.TypingNotice;
  presence: wire.PresenceNotice;
  read: wire.ReadNotice;
}

type Emit = <K extends keyof RoomEvents>(type: K, payload: RoomEvents[K]) => void;

interface Room {
  track: Track<wire.Message>;
  history: number;
  /** Whether this connection is in the room. */
  attached: boolean;
}

/** Most private conversations that are followed; the one silent for longest makes place. */
const CONVERSATIONS = 16;
/** How long an own message may take from its ack to its arrival, in milliseconds. */
const ARRIVAL_MS = 2_000;
const NOTICES = new Set(["member_joined", "member_left", "typing", "presence", "read"] as const);

export class Rooms {
  readonly #emit: Emit;
  readonly #requests: Requests;
  readonly #environment: Environment;
  readonly #rooms = new Map<string, Room>();
  readonly #conversations = new Map<string, Track<wire.PrivateMessage>>();

  constructor(emit: Emit, requests: Requests, environment: Environment) {
    this.#emit = emit;
    this.#requests = requests;
    this.#environment = environment;
  }

  async join(name: string, history: number, since?: wire.Position): Promise<wire.Joined> {
    const room = this.#rooms.get(name) ?? this.#add(name, history, since);
    try {
      return await this.#ask(name, room);
    } catch (error) {
      if (!room.attached) this.#rooms.delete(name);
      throw error;
    }
  }

  leave(room: string): Promise<{ room: string }> {
    this.#rooms.delete(room);
    return this.#requests.ask("leave", { room });
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
      this.#ask(name, room).catch((error: Refused) => this.#lost(name, error.code));
    }
  }

  detached(): void {
    for (const room of this.#rooms.values()) room.attached = false;
  }

  /** Whether a message to a room can be sent now; the server itself refuses for unknown rooms. */
  mayPublish(room: string): boolean {
    return this.#rooms.get(room)?.attached ?? true;
  }

  position(room: string): wire.Position | undefined {
    return (this.#rooms.get(room)?.track ?? this.#conversations.get(room))?.position;
  }

  take(frame: wire.Frame): void {
    switch (frame.type) {
      case "joined":
        return this.#joined(frame.payload);
      case "left":
        return this.#lost(frame.payload.room);
      case "message":
        return this.#rooms.get(frame.payload.room)?.track.take(frame.payload);
      case "private":
        return this.#converse(frame.payload.room, frame.payload.seq - 1n).take(frame.payload);
      case "resync":
        return this.#track(frame.payload.room)?.resync(frame.payload, frame.payload.reason);
      default:
        if (NOTICES.has(frame.type as never))
          this.#emit(frame.type as "read", (frame as { payload: wire.ReadNotice }).payload);
    }
  }

  /** Learns where an own message is stored. It arrives like everybody's; if not, it is fetched. */
  stored({ room, epoch, seq }: wire.Stored): void {
    const track = room.startsWith("@") ? this.#converse(room, seq - 1n, epoch) : this.#track(room);
    track?.expect(epoch, seq);
    if (track) this.#environment.after(ARRIVAL_MS, () => track.repair());
  }

  /** Begins to follow a private conversation whose newest page was read. */
  paged({ room, epoch, head }: wire.HistoryPage): void {
    // A conversation without messages is not stored yet, and may still get another epoch.
    if (room.startsWith("@")) this.#converse(room, head, head === 0n ? undefined : epoch);
  }

  #track(room: string): Pick<Track<wire.Message>, "resync" | "expect" | "repair"> | undefined {
    return this.#rooms.get(room)?.track ?? this.#conversations.get(room);
  }

  #add(name: string, history: number, since?: wire.Position): Room {
    const track = new Track<wire.Message>(
      {
        deliver: (message) => this.#emit("message", message),
        reset: (reason) => this.#emit("reset", { room: name, reason }),
        fetch: (after) => this.#requests.ask("history", { room: name, after }),
      },
      history,
    );
    if (since) track.begin(since.epoch, since.seq);
    const room = { track, history, attached: false };
    this.#rooms.set(name, room);
    return room;
  }

  #ask(name: string, { track, history }: Room): Promise<wire.Joined> {
    const since = track.position;
    return this.#requests.ask("join", { room: name, ...(since ? { since } : { history }) });
  }

  #joined(joined: wire.Joined): void {
    const room = this.#rooms.get(joined.room);
    if (!room) return;
    if (joined.reason === "access") return this.#lost(joined.room, "access");
    room.attached = true;
    this.#emit("joined", joined);
    room.track.joined(joined);
    this.#requests.flush();
  }

  #lost(room: string, code?: string): void {
    this.#rooms.delete(room);
    this.#emit("left", { room, ...(code !== undefined && { code }) });
  }

  /** Returns the track of a private conversation, which begins after `last` if it is new. */
  #converse(room: string, last: wire.Seq, epoch?: wire.Epoch): Track<wire.PrivateMessage> {
    let track = this.#conversations.get(room);
    if (!track) {
      track = this.#newConversation(room);
      track.begin(epoch, last);
    }
    this.#conversations.delete(room);
    this.#conversations.set(room, track);
    if (this.#conversations.size > CONVERSATIONS) this.#conversations.delete(this.#conversations.keys().next().value!);
    return track;
  }

  #newConversation(room: string): Track<wire.PrivateMessage> {
    return new Track<wire.PrivateMessage>(
      {
        deliver: (message) => this.#emit("private", message),
        reset: (reason) => this.#emit("reset", { room, reason }),
        fetch: async (after) => {
          const page = await this.#requests.ask("history", { room, after });
          return { ...page, messages: page.messages.map((message) => toPrivate(message)) };
        },
      },
      50,
    );
  }
}

/** Pages of history have the shape of messages in rooms. */
function toPrivate({ sender, ...rest }: wire.Message): wire.PrivateMessage {
  return { ...rest, from: sender, to: peerOf(rest.room, sender) ?? "" };
}
