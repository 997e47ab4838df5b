import { useSignal } from "@preact/signals";
import { peerOf, type Hit } from "../../sdk/index.ts";
import type { Chat } from "../chat.ts";
import { explain } from "../explain.ts";
import { dayName, clockTime, now } from "../time.ts";
import { Dialog } from "./Dialog.tsx";
import { Name } from "./people.tsx";

/** Finds messages by their words, here or everywhere, and goes there. */
export function Search({ chat, onClose }: { chat: Chat; onClose: () => void }) {
  const query = useSignal("");
  const isEverywhere = useSignal(false);
  const hits = useSignal<readonly Hit[] | undefined>(undefined);
  const next = useSignal<string | undefined>(undefined);
  const trouble = useSignal("");
  const conversation = chat.open.value;
  const find = async (before?: string) => {
    const words = query.value.trim();
    if (!words) return;
    const room = isEverywhere.value ? undefined : conversation?.room;
    try {
      const found = await chat.actions.search(words, room, before);
      hits.value = before === undefined ? found.hits : [...(hits.value ?? []), ...found.hits];
      next.value = found.next;
      trouble.value = "";
    } catch (error) {
      trouble.value = explain(error);
    }
  };
  const go = ({ room, seq }: Hit) => {
    onClose();
    void chat.goTo(room, seq);
  };
  return (
    <Dialog title="Search messages" onClose={onClose}>
      <form class="search-form" role="search" onSubmit={(event) => (event.preventDefault(), void find())}>
        <input
          type="search"
          aria-label="Words to look for"
          placeholder="Words to look for"
          maxLength={200}
          value={query.value}
          onInput={(event) => (query.value = event.currentTarget.value)}
        />
        <button class="primary">Search</button>
        <label class="check">
          <input
            type="checkbox"
            checked={isEverywhere.value}
            onChange={(event) => {
              isEverywhere.value = event.currentTarget.checked;
              void find();
            }}
          />
          In all rooms
        </label>
      </form>
      {trouble.value && (
        <p class="refusal" role="alert">
          {trouble.value}
        </p>
      )}
      <div class="hits" role="status">
        {hits.value?.length === 0 && <p class="quiet">Nothing was found.</p>}
        <ul>
          {hits.value?.map((hit) => (
            <li key={`${hit.room} ${hit.seq}`}>
              <button class="hit" onClick={() => go(hit)}>
                <span class="hit-head quiet">
                  <Name>{hit.sender}</Name>
                  <span>
                    {peerOf(hit.room, chat.user.value) ?? `#${hit.room}`} · {dayName(hit.ts, now.value)}{" "}
                    {clockTime(hit.ts)}
                  </span>
                </span>
                <Snippet text={hit.snippet} />
              </button>
            </li>
          ))}
        </ul>
        {next.value !== undefined && (
          <button class="link" onClick={() => void find(next.value)}>
            More results
          </button>
        )}
      </div>
    </Dialog>
  );
}

/** The words that were looked for stand between two signs of the private use area. */
function Snippet({ text }: { text: string }) {
  const parts = text.split(/[\ue000\ue001]/);
  return (
    <span class="snippet" dir="auto">
      {parts.map((part, index) => (index % 2 === 1 ? <mark>{part}</mark> : part))}
    </span>
  );
}
