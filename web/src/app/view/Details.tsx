import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Role, Settings } from "../../sdk/index.ts";
import type { Chat } from "../chat.ts";
import type { Conversation } from "../conversation.ts";
import { explain } from "../explain.ts";
import { span } from "../sanctions.ts";
import { Dialog } from "./Dialog.tsx";
import { Name } from "./people.tsx";
import { Quote } from "./Quote.tsx";

interface Props {
  chat: Chat;
  conversation: Conversation;
  onClose: () => void;
}

const ROLES: readonly Role[] = ["owner", "moderator", "member"];

/** What a room is about, who has a say in it, and what is pinned. */
export function Details({ chat, conversation, onClose }: Props) {
  // Follows every change of the room.
  void conversation.version.value;
  const { view, peer } = conversation;
  const own = view.roles.get(chat.user.value);
  const jump = (seq: bigint) => {
    onClose();
    void chat.jump(conversation, seq);
  };
  useEffect(() => view.pins.forEach((seq) => chat.actions.lookUp(conversation, seq)), [view.pins.length]);
  return (
    <Dialog title={peer ?? `#${conversation.room}`} onClose={onClose}>
      {peer === undefined &&
        (own === "owner" ? (
          <SettingsForm chat={chat} conversation={conversation} />
        ) : (
          <About conversation={conversation} />
        ))}
      <h3>Pinned messages</h3>
      {view.pins.length === 0 && <p class="quiet">Nothing is pinned.</p>}
      <ul class="pins">
        {view.pins.map((seq) => (
          <li key={String(seq)}>
            <Quote chat={chat} conversation={conversation} seq={seq} quoted={view.message(seq)} onJump={jump} />
          </li>
        ))}
      </ul>
      {peer === undefined && view.roles.size > 0 && <Roles chat={chat} conversation={conversation} own={own} />}
    </Dialog>
  );
}

function About({ conversation: { view, version } }: { conversation: Conversation }) {
  void version.value;
  return (
    <>
      {view.title && <p class="about-title">{view.title}</p>}
      <p>{view.topic || <span class="quiet">No topic.</span>}</p>
      <p class="quiet">
        {view.roles.size === 0
          ? "This room is open to all and has no owner. Create a room to have a say in one."
          : view.isPrivate
            ? "Only people with a role may enter."
            : "Everybody may enter."}
      </p>
    </>
  );
}

function SettingsForm({ chat, conversation }: { chat: Chat; conversation: Conversation }) {
  const { view } = conversation;
  const outcome = useSignal("");
  const save = async (event: SubmitEvent) => {
    event.preventDefault();
    try {
      await chat.actions.configure(conversation, settingsOf(event.currentTarget as HTMLFormElement, view.slowMs));
      outcome.value = "Saved.";
    } catch (error) {
      outcome.value = explain(error);
    }
  };
  return (
    <form class="settings" onSubmit={save}>
      <SettingsFields title={view.title} topic={view.topic} isPrivate={view.isPrivate} slowMs={view.slowMs} />
      <button class="primary">Save</button>
      <p class="quiet" role="status">
        {outcome.value}
      </p>
    </form>
  );
}

interface Fields {
  title: string;
  topic: string;
  isPrivate: boolean;
  slowMs: number;
}

/** How long users may be made to wait between two messages, in seconds. */
const PACES = [0, 5, 30, 60, 300, 3_600];

function SettingsFields({ title, topic, isPrivate, slowMs }: Fields) {
  const slow = slowMs / 1_000;
  const paces = PACES.includes(slow) ? PACES : [...PACES, slow];
  return (
    <>
      <label class="field">
        <span>Title</span>
        <input name="title" maxLength={120} defaultValue={title} autocomplete="off" />
      </label>
      <label class="field">
        <span>Topic</span>
        <input name="topic" maxLength={500} defaultValue={topic} autocomplete="off" />
      </label>
      <label class="field">
        <span>Slow mode</span>
        <select name="slow" defaultValue={String(slow)}>
          {paces.map((seconds) => (
            <option key={seconds} value={seconds}>
              {seconds === 0 ? "Everybody speaks as they like" : `One message in ${span(seconds * 1_000)}`}
            </option>
          ))}
        </select>
      </label>
      <label class="check">
        <input name="private" type="checkbox" defaultChecked={isPrivate} />
        Private: only people with a role may enter and read
      </label>
    </>
  );
}

/** Reads the form; the pace only if it is another one, because a change is told to everybody. */
function settingsOf(form: HTMLFormElement, slowMs: number): Settings {
  const fields = new FormData(form);
  const text = (name: string) => String(fields.get(name) ?? "").trim();
  const slow_ms = Number(fields.get("slow") ?? 0) * 1_000;
  const pace = slow_ms === slowMs ? {} : { slow_ms };
  return { title: text("title"), topic: text("topic"), private: fields.has("private"), ...pace };
}

function Roles({ chat, conversation, own }: { chat: Chat; conversation: Conversation; own: Role | undefined }) {
  const { view, version } = conversation;
  void version.value;
  const isOwner = own === "owner";
  const mayAdd = isOwner || own === "moderator";
  const holders = [...view.roles].sort(([, a], [, b]) => ROLES.indexOf(a) - ROLES.indexOf(b));
  const add = (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const user = String(new FormData(form).get("user")).trim().normalize("NFC");
    if (user) chat.actions.setRole(conversation, user, "member");
    form.reset();
  };
  return (
    <>
      <h3>People with a role</h3>
      <ul class="roles">
        {holders.map(([user, role]) => (
          <li key={user}>
            <Name>{user}</Name>
            <span class="space" />
            {isOwner || (mayAdd && role === "member") ? (
              <select
                aria-label={`Role of ${user}`}
                value={role}
                onChange={(event) => {
                  const chosen = event.currentTarget.value as Role | "none";
                  chat.actions.setRole(conversation, user, chosen === "none" ? undefined : chosen);
                }}
              >
                {ROLES.filter((choice) => isOwner || choice === "member").map((choice) => (
                  <option key={choice} value={choice}>
                    {choice}
                  </option>
                ))}
                <option value="none">none</option>
              </select>
            ) : (
              <span class="quiet">{role}</span>
            )}
          </li>
        ))}
      </ul>
      {mayAdd && (
        <form class="add-role" onSubmit={add}>
          <input
            name="user"
            required
            maxLength={64}
            aria-label="Name of a new member"
            placeholder="Name"
            autocomplete="off"
          />
          <button class="primary">Add member</button>
        </form>
      )}
    </>
  );
}

/** Creates a room of one's own. */
export function CreateRoom({ chat, name, onClose }: { chat: Chat; name: string; onClose: () => void }) {
  const trouble = useSignal("");
  const create = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const room = String(new FormData(form).get("room")).trim().normalize("NFC");
    try {
      await chat.actions.create(room, settingsOf(form, 0));
      onClose();
    } catch (error) {
      trouble.value = explain(error);
    }
  };
  return (
    <Dialog title="Create a room" onClose={onClose}>
      <form class="settings" onSubmit={create}>
        <label class="field">
          <span>Name</span>
          <input name="room" required maxLength={128} defaultValue={name} autocomplete="off" spellcheck={false} />
        </label>
        <SettingsFields title="" topic="" isPrivate={false} slowMs={0} />
        {trouble.value && (
          <p class="refusal" role="alert">
            {trouble.value}
          </p>
        )}
        <button class="primary">Create</button>
      </form>
    </Dialog>
  );
}
