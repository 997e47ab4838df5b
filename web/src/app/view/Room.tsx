/** The page of somebody who is signed in. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Chat } from "../chat.ts";
import { Banner } from "./Banner.tsx";
import { Composer } from "./Composer.tsx";
import { Header } from "./Header.tsx";
import { Members } from "./Members.tsx";
import { Rooms } from "./Rooms.tsx";
import { Switcher } from "./Switcher.tsx";
import { Timeline } from "./Timeline.tsx";
import { Trouble } from "./Trouble.tsx";

export type Drawer = "none" | "rooms" | "members";

export function Room({ chat, onSignOut }: { chat: Chat; onSignOut: () => void }) {
  const drawer = useSignal<Drawer>("none");
  const isSwitching = useSignal(false);
  const conversation = chat.open.value;
  const switchRoom = () => {
    void chat.lookAround();
    drawer.value = "none";
    isSwitching.value = true;
  };
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        switchRoom();
      } else if (event.key === "Escape" && !isSwitching.value) {
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
      <main class="room" aria-label={conversation?.peer ?? conversation?.room ?? "Connecting"}>
        <Header
          chat={chat}
          onDrawer={(which) => (drawer.value = drawer.value === which ? "none" : which)}
          onSwitch={switchRoom}
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
      {isSwitching.value && <Switcher chat={chat} onClose={() => (isSwitching.value = false)} />}
    </div>
  );
}
