/** The page of somebody who is signed in. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Chat } from "../chat.ts";
import { Banner } from "./Banner.tsx";
import { Composer } from "./Composer.tsx";
import { CreateRoom, Details } from "./Details.tsx";
import { Header } from "./Header.tsx";
import { Members } from "./Members.tsx";
import { Rooms } from "./Rooms.tsx";
import { Search } from "./Search.tsx";
import { Switcher } from "./Switcher.tsx";
import { Timeline } from "./Timeline.tsx";
import { Trouble } from "./Trouble.tsx";

export type Drawer = "none" | "rooms" | "members";
type Window = { name: "none" | "switcher" | "search" | "details" } | { name: "create"; room: string };

export function Room({ chat, onSignOut }: { chat: Chat; onSignOut: () => void }) {
  const drawer = useSignal<Drawer>("none");
  const window = useSignal<Window>({ name: "none" });
  const conversation = chat.open.value;
  const switchRoom = () => {
    void chat.lookAround();
    open({ name: "switcher" });
  };
  const open = (which: Window) => {
    drawer.value = "none";
    window.value = which;
  };
  // A window that is closed tells so later, when another one may be open.
  const closed = (which: Window["name"]) => () => {
    if (window.value.name === which) window.value = { name: "none" };
  };
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        switchRoom();
      } else if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.key.toLowerCase() === "f") {
        event.preventDefault();
        open({ name: "search" });
      } else if (event.key === "Escape" && window.value.name === "none") {
        drawer.value = "none";
        document.querySelector<HTMLElement>(".composer textarea")?.focus();
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  // On a phone a choice closes the drawer.
  useEffect(() => void (drawer.value = "none"), [conversation]);
  return (
    <div class={`page drawer-${drawer.value}`}>
      <Rooms chat={chat} onSwitch={switchRoom} onSignOut={onSignOut} onClose={() => (drawer.value = "none")} />
      <main class="room" aria-label={conversation?.name.value ?? "Connecting"}>
        <Header
          chat={chat}
          onDrawer={(which) => (drawer.value = drawer.value === which ? "none" : which)}
          onSwitch={switchRoom}
          onSearch={() => open({ name: "search" })}
          onDetails={() => open({ name: "details" })}
        />
        <Banner chat={chat} onSignOut={onSignOut} />
        {conversation ? (
          <>
            <Timeline key={conversation.room} chat={chat} conversation={conversation} />
            <Composer key={`write ${conversation.room}`} chat={chat} conversation={conversation} />
          </>
        ) : (
          <div class="timeline-frame" aria-busy="true" />
        )}
        <Trouble trouble={chat.trouble} />
      </main>
      {conversation && <Members chat={chat} conversation={conversation} onClose={() => (drawer.value = "none")} />}
      <div class="scrim" onClick={() => (drawer.value = "none")} />
      {window.value.name === "switcher" && (
        <Switcher chat={chat} onCreate={(room) => open({ name: "create", room })} onClose={closed("switcher")} />
      )}
      {window.value.name === "search" && <Search chat={chat} onClose={closed("search")} />}
      {window.value.name === "details" && conversation && (
        <Details chat={chat} conversation={conversation} onClose={closed("details")} />
      )}
      {window.value.name === "create" && <CreateRoom chat={chat} name={window.value.room} onClose={closed("create")} />}
    </div>
  );
}
