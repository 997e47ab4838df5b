/** Names of private conversations. */

/** Returns the room of the private conversation of two users, the same in both directions. */
export function conversationOf(one: string, other: string): string {
  return `@${[one, other].sort(byUtf8).map(escape).join(",")}`;
}

/** Returns with whom `user` speaks in a private conversation, or undefined for a room. */
export function peerOf(room: string, user: string): string | undefined {
  if (!room.startsWith("@")) return undefined;
  const pair = room.slice(1).split(",").map(unescape);
  return pair.length === 2 && pair.includes(user) ? (pair[0] === user ? pair[1] : pair[0]) : undefined;
}

const escape = (user: string) => user.replaceAll("%", "%25").replaceAll(",", "%2C");
const unescape = (user: string) => user.replaceAll("%2C", ",").replaceAll("%25", "%");

/** The server sorts by bytes of UTF-8, which is the order of code points, not of UTF-16 units. */
function byUtf8(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)];
  const at = left.findIndex((char, index) => char !== right[index]);
  if (at < 0) return left.length - right.length;
  return left[at]!.codePointAt(0)! - (right[at]?.codePointAt(0) ?? -1);
}
