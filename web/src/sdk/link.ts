/** One WebSocket from its opening to its end, told once, however it ends. */
import type { Environment, Socket } from "./environment.ts";
import { decode, encode, SUBPROTOCOL, type Frame } from "./wire.ts";

/** How long opening and greeting may take, in milliseconds. */
export const OPENING_MS = 15_000;
/** How long a sign of life may take, in milliseconds. */
export const PONG_MS = 10_000;

/** The code of a close that is no goodbye (RFC 6455, section 7.4.2, private use). */
export const ABANDONED = 4_000;

export interface LinkPort {
  /** The socket is open: say hello. */
  opened(): void;
  frame(frame: Frame): void;
  /** Something arrived that is no frame of this protocol. */
  garbled(error: unknown): void;
  /** It is over; 1006 stands for an end without a word. */
  ended(code: number, reason: string): void;
}

export class Link {
  readonly #environment: Environment;
  readonly #port: LinkPort;
  readonly #socket: Socket;
  #cancel: () => void;
  #heardAt = 0;
  #isOver = false;

  constructor(environment: Environment, url: string, port: LinkPort) {
    this.#environment = environment;
    this.#port = port;
    this.#socket = environment.open(url, SUBPROTOCOL);
    this.#cancel = environment.after(OPENING_MS, () => this.abandon("no welcome in time"));
    this.#socket.onopen = () => this.#isOver || port.opened();
    this.#socket.onclose = ({ code, reason }) => this.#end(code, reason);
    this.#socket.onmessage = ({ data }) => this.#hear(data);
  }

  send(text: string): void {
    if (!this.#isOver) this.#socket.send(text);
  }

  /**
   * Watches for silence. Scripts do not see the server's pings, so a connection that died without
   * a word is found only by asking.
   *
   * @param heartbeatMs how long silence is normal
   */
  watch(heartbeatMs: number, freshId: () => number): void {
    this.#cancel();
    if (this.#isOver) return;
    const askedAt = this.#environment.now();
    this.#cancel = this.#environment.after(heartbeatMs, () => {
      if (this.#heardAt > askedAt) return this.watch(heartbeatMs, freshId);
      this.send(encode("ping", {}, freshId()));
      this.#cancel = this.#environment.after(PONG_MS, () => {
        if (this.#heardAt > askedAt) this.watch(heartbeatMs, freshId);
        else this.abandon("no sign of life");
      });
    });
  }

  /** Ends a connection that is of no use any more, as if it had broken. */
  abandon(reason: string): void {
    this.#end(1006, reason);
    // Should the server still hear it: no goodbye, so that nobody is told of somebody leaving.
    this.#socket.close(ABANDONED);
  }

  /** Says goodbye; {@link LinkPort.ended} is not called. */
  close(): void {
    this.#isOver = true;
    this.#cancel();
    this.#socket.close(1000);
  }

  #hear(data: unknown): void {
    if (this.#isOver) return;
    this.#heardAt = this.#environment.now();
    let frame;
    try {
      frame = decode(String(data));
    } catch (error) {
      return this.#port.garbled(error);
    }
    this.#port.frame(frame);
  }

  #end(code: number, reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancel();
    this.#port.ended(code, reason);
  }
}
