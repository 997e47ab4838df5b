/** Says what went wrong in words for people who do not know the protocol. */

const SENTENCES: Record<string, string> = {
  invalid_user: "This name is not possible: use up to 64 letters, digits and spaces between them.",
  name_confusable: "This name mixes letters of different scripts that look alike. Please choose another.",
  invalid_room: "This room name is not possible: use up to 128 characters without *, and not @ at the beginning.",
  invalid_token: "The server does not accept this access token.",
  token_expired: "Your access token has expired.",
  revoked: "Your access was taken back.",
  unauthenticated: "This server asks for an access token.",
  user_limit: "You are connected from too many places at once.",
  too_many_errors: "The server has ended the connection because of too many bad requests.",
  forbidden: "You are not allowed to do this here.",
  not_found: "There is no such room or person, or it is not open to you.",
  access: "You may no longer read this room.",
  message_too_big: "The message is too long.",
  storage_full: "The server has no space left.",
  closed: "You are signed out.",
  exists: "There is such a room already.",
  filtered: "The message has a word that is not allowed here.",
  idempotency_conflict: "This was sent before with other words.",
  reset_epoch: "The history of this room was restored: what you saw before may be missing now.",
  reset_ahead: "The history of this room was restored: what you saw before may be missing now.",
  reset_expired: "Some of what was said while you were away is no longer kept.",
};

/** Returns a sentence for an error, a refusal or the end of a connection. */
export function explain(error: unknown): string {
  const { code, reason, message } = error as { code?: unknown; reason?: string; message?: string };
  const word = typeof code === "string" ? code : reason;
  // The server says for how long somebody is silenced or banned, and why.
  if (word === "forbidden" && message?.startsWith("you are ")) return `Y${message.slice(1)}.`;
  return SENTENCES[word ?? ""] ?? message ?? "Something went wrong.";
}
