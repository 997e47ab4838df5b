/** A new token before the old one expires, so that the connection goes on. */
import type { Environment } from "./environment.ts";
import type { Link } from "./link.ts";
import { encode } from "./wire.ts";

/** Time until another attempt to get a token, in milliseconds. */
const RETRY_MS = 3_000;

/** Credentials, or how to get them. */
export type Token = string | (() => string | Promise<string>);

interface Port {
  environment: Environment;
  token: Token | undefined;
  freshId(): number;
  isCurrent(link: Link): boolean;
  failed(error: Error): void;
}

export class Renewal {
  readonly #port: Port;
  #id = 0;

  constructor(port: Port) {
    this.#port = port;
  }

  /** Whether there is a way to another token. */
  get isPossible(): boolean {
    return typeof this.#port.token === "function";
  }

  /** Whether a `welcome` answers a new token: the session it belongs to has begun long ago. */
  isAnsweredBy({ id }: { id?: number }): boolean {
    return id !== undefined && id === this.#id;
  }

  /** Gets a token and shows it to the server; tries again while the connection is there. */
  async begin(link: Link): Promise<void> {
    const { environment, token, freshId, isCurrent, failed } = this.#port;
    if (typeof token !== "function" || !isCurrent(link)) return;
    try {
      const credentials = await token();
      this.#id = freshId();
      link.send(encode("hello", { token: credentials }, this.#id));
    } catch (error) {
      failed(error as Error);
      environment.after(RETRY_MS, () => void this.begin(link));
    }
  }
}
