import { effect, signal } from "@preact/signals";
import { render } from "preact";
import "../styles/base.css";
import "../styles/layout.css";
import "../styles/timeline.css";
import "../styles/messages.css";
import "../styles/parts.css";
import "../styles/dialogs.css";
import { roomInAddress } from "./address.ts";
import { Chat } from "./chat.ts";
import { lastIdentity, rememberOpen, signIn, signOut, type Identity } from "./saved.ts";
import { Door } from "./view/Door.tsx";
import { Room } from "./view/Room.tsx";

const chat = signal<Chat | undefined>(undefined);
const refusal = signal("");

function enter(identity: Identity): void {
  refusal.value = "";
  signIn(identity);
  chat.value = new Chat(identity, leave);
}

function leave(message = ""): void {
  chat.value?.close();
  chat.value = undefined;
  refusal.value = message;
}

function App() {
  if (!chat.value) return <Door refusal={refusal.value} onEnter={enter} />;
  return <Room chat={chat.value} onSignOut={() => (signOut(), leave())} />;
}

effect(() => {
  const unread = chat.value?.unread.value ?? 0;
  const open = chat.value?.open.value;
  const name = open ? `${open.name.value} · Parlour` : "Parlour";
  document.title = unread > 0 ? `(${unread}) ${name}` : name;
});

const followAddress = () => chat.value && chat.value.show(roomInAddress(chat.value.user.peek()));
addEventListener("hashchange", followAddress);
addEventListener("popstate", followAddress);

const identity = lastIdentity();
if (identity) enter(identity);
else if (roomInAddress("")) rememberOpen(roomInAddress(""));
render(<App />, document.getElementById("app")!);
