/**
 * The Parlour SDK. Needs a global `WebSocket` and nothing else.
 *
 * @example
 * const parlour = new Parlour({ url: "ws://127.0.0.1:8080/ws", user: "Alice" });
 * parlour.on("message", ({ sender, text }) => console.log(`${sender}: ${text}`));
 * parlour.connect();
 * await parlour.join("general");
 * await parlour.publish("general", "Good morning");
 */
export { Parlour, type Events, type Extras, type Options, type State } from "./client.ts";
export { Conversation, type Spoken } from "./conversation.ts";
export type { Storage } from "./cursors.ts";
export { conversationOf, peerOf } from "./peers.ts";
export type { Moderation, Terms } from "./moderation.ts";
export { platform, type Environment, type Socket } from "./environment.ts";
export { Refused } from "./refused.ts";
export type * from "./payloads.ts";
export type { Draft, Entries, Entry, HistoryPage, Notices, Relations } from "./wire.ts";
