/** Small parts that show a person. */
import type { Member, Status } from "../../sdk/index.ts";

const HUES = 8;
const WORDS: Record<Status, string> = { online: "online", away: "away", offline: "offline" };

/** A name never turns the direction of the text around it. */
export const Name = ({ children }: { children: string }) => <bdi class="name">{children}</bdi>;

/** A letter on a colour that stays the same for a name. */
export function Avatar({ user }: { user: string }) {
  let sum = 0;
  for (const char of user) sum = (sum * 31 + char.codePointAt(0)!) % 9_973;
  const [letter = "?"] = new Intl.Segmenter().segment(user)[Symbol.iterator]().next().value?.segment ?? "?";
  return (
    <span class={`avatar hue-${sum % HUES}`} aria-hidden="true">
      {letter.toUpperCase()}
    </span>
  );
}

export function Dot({ member }: { member: Member | undefined }) {
  const status = member?.status ?? "offline";
  return <span class={`dot ${status}`} role="img" aria-label={WORDS[status]} title={WORDS[status]} />;
}
