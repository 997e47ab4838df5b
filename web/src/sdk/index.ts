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
export { Parlour, type Events, type Options, type State } from "./client.ts";
export { conversationOf, peerOf } from "./conversation.ts";
export { platform, type Environment, type Socket } from "./environment.ts";
export { Refused } from "./refused.ts";
export type {
  Availability,
  Epoch,
  GoAway,
  HistoryPage,
  Joined,
  Limits,
  Member,
  MemberList,
  Membership,
  Message,
  Position,
  PresenceNotice,
  PrivateMessage,
  ReadNotice,
  Refusal,
  RoomSummary,
  Seq,
  Status,
  Stored,
  TypingNotice,
  Unrecovered,
  Welcome,
  Window,
} from "./wire.ts";
