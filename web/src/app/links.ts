/** Finds addresses in texts. The result is parts, never markup: they become text nodes. */

export interface Part {
  text: string;
  /** Where the part leads, if it is a link: http or https only. */
  href?: string;
}

// No controls, and none of the characters that turn the direction of text.
const ADDRESS = /https?:\/\/[^\s<>"\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069]+/gi;
const CLOSING: Record<string, string> = { ")": "(", "]": "[", "}": "{" };
const TRAILING = new Set([..."..,;:!?'\"*_~"]);

/** Splits a text at its links. */
export function splitLinks(text: string): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = trimEnd(match[0]);
    const href = parse(address);
    if (!href) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index) });
    parts.push({ text: address, href });
    end = match.index + address.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

/** Leaves punctuation to the sentence, and a bracket that was opened before the address. */
function trimEnd(address: string): string {
  const counts = new Map<string, number>();
  for (const char of address) counts.set(char, (counts.get(char) ?? 0) + 1);
  let end = address.length;
  for (; end > 0; end -= 1) {
    const last = address[end - 1]!;
    const opening = CLOSING[last];
    const isUnopened = opening !== undefined && counts.get(last)! > (counts.get(opening) ?? 0);
    if (!isUnopened && !TRAILING.has(last)) break;
    counts.set(last, counts.get(last)! - 1);
  }
  return address.slice(0, end);
}

function parse(address: string): string | undefined {
  try {
    const url = new URL(address);
    return url.hostname && (url.protocol === "http:" || url.protocol === "https:") ? url.href : undefined;
  } catch {
    return undefined;
  }
}
