/** What the SDK takes from outside. Tests give it virtual time and a scripted server instead. */

/** The part of a browser's `WebSocket` that the SDK uses. */
export interface Socket {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export interface Environment {
  open(url: string, subprotocol: string): Socket;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** A number from 0 to less than 1. */
  random(): number;
  /** A text that nobody has used before. */
  unique(): string;
  /** Runs something later; the returned function cancels it. */
  after(ms: number, run: () => void): () => void;
}

/** The environment of browsers, Deno, Bun and Node 22 or newer. */
export const platform: Environment = {
  open: (url, subprotocol) => new WebSocket(url, subprotocol) as unknown as Socket,
  now: () => performance.now(),
  random: () => Math.random(),
  unique: () => {
    // `crypto.randomUUID` exists only on secure origins; a LAN address over http is none.
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  },
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
