import type { Refusal } from "./wire.ts";

/** A command that the server refused, or that ended with the client. */
export class Refused extends Error implements Refusal {
  override readonly name = "Refused";
  /** A word of the error table, or `closed` if the client was closed before an answer came. */
  readonly code: string;
  /** Whether the same command may succeed later. */
  readonly retryable: boolean;
  readonly retry_after_ms?: number;

  constructor({ code, message, retryable, retry_after_ms }: Omit<Refusal, "blocked_by">) {
    super(message);
    this.code = code;
    this.retryable = retryable;
    if (retry_after_ms !== undefined) this.retry_after_ms = retry_after_ms;
  }
}
