/** Finds people who are meant in a text: `@` and a name that is known. */

/** A place in a text where somebody is meant. */
export interface Mention {
  user: string;
  start: number;
  end: number;
}

/** Most people whom a message may mean. */
const MOST = 50;
const WORD = /[\p{L}\p{N}_]/u;

/** Lists where somebody is meant, in the order of the text. Of two names that fit, the longer counts. */
export function findMentions(text: string, users: Iterable<string>): Mention[] {
  const byLength = [...users].sort((a, b) => b.length - a.length);
  const found: Mention[] = [];
  for (let at = text.indexOf("@"); at >= 0; at = text.indexOf("@", at + 1)) {
    // An address of mail means nobody.
    if (at > 0 && WORD.test(text[at - 1]!)) continue;
    const user = byLength.find(
      (name) => text.startsWith(name, at + 1) && !WORD.test(text[at + 1 + name.length] ?? " "),
    );
    if (user === undefined) continue;
    found.push({ user, start: at, end: at + 1 + user.length });
    at += user.length;
  }
  return found;
}

/** Lists who is meant, each once. */
export function mentionsIn(text: string, users: Iterable<string>): string[] {
  return [...new Set(findMentions(text, users).map(({ user }) => user))].slice(0, MOST);
}

/** Returns what is written behind the `@` before the cursor, if a name is being written. */
export function nameAt(text: string, cursor: number): { start: number; letters: string } | undefined {
  const start = text.lastIndexOf("@", cursor - 1);
  if (start < 0 || (start > 0 && WORD.test(text[start - 1]!))) return undefined;
  const letters = text.slice(start + 1, cursor);
  return letters.includes("\n") || letters.length > 64 ? undefined : { start, letters };
}
