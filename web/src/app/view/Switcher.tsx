import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Chat } from "../chat.ts";
import { SearchIcon } from "./icons.tsx";
import { Name } from "./people.tsx";

interface Choice {
  key: string;
  /** `#` for a room, `@` for a person. */
  sign: string;
  name: string;
  note: string;
  choose: () => void;
}

interface Props {
  chat: Chat;
  /** Creates a room; the name is what was written. */
  onCreate: (room: string) => void;
  onClose: () => void;
}

/** Most choices that are listed. */
const LISTED = 12;

/** Goes to a room or person by a few letters; Ctrl+K. */
export function Switcher({ chat, onCreate, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const wanted = useSignal("");
  const at = useSignal(0);
  const choices = useComputed(() => find(chat, wanted.value.trim().normalize("NFC"), onCreate));
  useEffect(() => dialog.current!.showModal(), []);
  const choose = (choice: Choice | undefined) => {
    if (!choice) return;
    dialog.current!.close();
    choice.choose();
  };
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const count = choices.value.length;
    if (step && count) at.value = (at.value + step + count) % count;
    else if (event.key === "Enter" && !event.isComposing) choose(choices.value[at.value]);
    else return;
    event.preventDefault();
  };
  return (
    <dialog
      class="switcher"
      ref={dialog}
      aria-label="Go to a room or person"
      onClose={onClose}
      onClick={(event) => event.target === event.currentTarget && event.currentTarget.close()}
    >
      <div class="switcher-body">
        <label class="switcher-field">
          <SearchIcon />
          <input
            role="combobox"
            aria-expanded="true"
            aria-controls="choices"
            aria-activedescendant={`choice-${at.value}`}
            aria-label="Room or person"
            placeholder="Room or @person"
            maxLength={128}
            spellcheck={false}
            autocomplete="off"
            value={wanted.value}
            onKeyDown={onKey}
            onInput={(event) => ((wanted.value = event.currentTarget.value), (at.value = 0))}
          />
        </label>
        <ul id="choices" role="listbox" aria-label="Rooms and people">
          {choices.value.map((choice, index) => (
            <li
              key={choice.key}
              id={`choice-${index}`}
              role="option"
              aria-selected={index === at.value}
              onClick={() => choose(choice)}
            >
              <span class="hash" aria-hidden="true">
                {choice.sign}
              </span>
              <Name>{choice.name}</Name>
              <span class="quiet">{choice.note}</span>
            </li>
          ))}
        </ul>
      </div>
    </dialog>
  );
}

function find(chat: Chat, wanted: string, onCreate: (room: string) => void): Choice[] {
  const self = chat.user.value;
  const isPerson = wanted.startsWith("@");
  const text = wanted.replace(/^[#@]/, "");
  const rooms = [...chat.conversations.value.values()].filter(({ peer }) => peer === undefined);
  const users = new Set(
    [...chat.conversations.value.values()].flatMap(({ members, peer }) => [
      ...(peer === undefined ? [] : [peer]),
      ...members.value.keys(),
    ]),
  );
  users.delete(self);
  const choices = [
    ...rooms.map(({ room, name, unread }) =>
      roomChoice(chat, room, unread.value > 0 ? `${unread.value} unread` : "", name.value),
    ),
    ...chat.openRooms.value.map(({ room, member_count, title }) =>
      roomChoice(chat, room, `${member_count} here`, title || room),
    ),
    ...[...users].map((user) => personChoice(chat, user, "private")),
  ].filter(({ sign, name }) => matches(name, text) && !(isPerson && sign === "#"));
  const isKnown = choices.some(({ name }) => name === text);
  const listed = choices.sort((a, b) => rank(b, text) - rank(a, text)).slice(0, LISTED);
  if (text && !isKnown && text !== self)
    listed.push(isPerson ? personChoice(chat, text, "write in private") : roomChoice(chat, text, "open this room"));
  if (!isPerson)
    listed.push({ key: "create", sign: "+", name: text, note: "create a room", choose: () => onCreate(text) });
  return listed;
}

function roomChoice(chat: Chat, room: string, note: string, name = room): Choice {
  return { key: `#${room}`, sign: "#", name, note, choose: () => chat.show(room) };
}

function personChoice(chat: Chat, user: string, note: string): Choice {
  return { key: `@${user}`, sign: "@", name: user, note, choose: () => chat.showPrivate(user) };
}

const matches = (name: string, text: string) => name.toLocaleLowerCase().includes(text.toLocaleLowerCase());

const rank = ({ name, note }: Choice, text: string) =>
  (name === text ? 4 : 0) +
  (name.toLocaleLowerCase().startsWith(text.toLocaleLowerCase()) ? 2 : 0) +
  (note.includes("unread") ? 1 : 0);
