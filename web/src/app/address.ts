/** Rooms in the address bar: `#general` for a room, `#@Bob` for a private conversation. */
import { conversationOf, peerOf } from "../sdk/index.ts";

/** Returns the room that the address names, or an empty text. */
export function roomInAddress(self: string): string {
  let name = location.hash.slice(1);
  try {
    name = decodeURIComponent(name);
  } catch {
    // A stray `%` is taken as it stands.
  }
  name = name.trim().normalize("NFC");
  if (!name.startsWith("@")) return name;
  const peer = name.slice(1);
  return peer && self && peer !== self ? conversationOf(self, peer) : "";
}

/** Puts a room into the address bar; Back returns to the room before. */
export function showInAddress(room: string, self: string): void {
  const peer = peerOf(room, self);
  const name = peer === undefined ? room : `@${peer}`;
  const hash = `#${encodeURIComponent(name).replaceAll("%40", "@").replaceAll("%3A", ":")}`;
  if (location.hash !== hash) history.pushState(null, "", hash);
}

/** Returns where the server listens for WebSockets, beside the page. */
export function socketAddress(): string {
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  return url.href;
}
