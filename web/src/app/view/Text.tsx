import { splitLinks } from "../links.ts";
import { findMentions } from "../mentions.ts";

interface Props {
  text: string;
  mentions?: readonly string[];
  /** Whose mentions stand out. */
  self?: string;
}

/** Text nodes, links and marks, so that no message is ever markup. */
export function Text({ text, mentions = [], self }: Props) {
  return (
    <p class="text" dir="auto">
      {splitLinks(text).map(({ text, href }) =>
        href ? (
          <a href={href} title={href} target="_blank" rel="noopener noreferrer">
            {text}
          </a>
        ) : (
          <Marked text={text} mentions={mentions} self={self} />
        ),
      )}
    </p>
  );
}

function Marked({ text, mentions, self }: { text: string; mentions: readonly string[]; self: string | undefined }) {
  if (mentions.length === 0) return <>{text}</>;
  const parts = [];
  let end = 0;
  for (const mention of findMentions(text, mentions)) {
    parts.push(text.slice(end, mention.start));
    parts.push(
      <span class={`mention ${mention.user === self ? "me" : ""}`}>{text.slice(mention.start, mention.end)}</span>,
    );
    end = mention.end;
  }
  return (
    <>
      {parts}
      {text.slice(end)}
    </>
  );
}
