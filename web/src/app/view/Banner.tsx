import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { State } from "../../sdk/index.ts";
import type { Chat } from "../chat.ts";
import { explain } from "../explain.ts";

const LOST = "The connection is lost. What you write is sent when it is back.";

/** Says what is wrong with the connection, and nothing while it is well. */
export function Banner({ chat, onSignOut }: { chat: Chat; onSignOut: () => void }) {
  const state = chat.state.value;
  return (
    <div class="banner-frame" role="status" data-state={state.name}>
      {state.name === "connecting" && <Connecting isAgain={chat.open.value !== undefined} />}
      {state.name === "waiting" && <Waiting state={state} onNow={() => chat.connect()} />}
      {state.name === "stopped" && (
        <div class="banner severe">
          <span>{explain(state)}</span>
          <button onClick={() => chat.connect()}>Connect again</button>
          <button onClick={onSignOut}>Sign out</button>
        </div>
      )}
    </div>
  );
}

function Connecting({ isAgain }: { isAgain: boolean }) {
  if (!isAgain) return <div class="banner first">Connecting…</div>;
  return (
    <div class="banner">
      <span>{LOST}</span>
      <span class="countdown">Connecting…</span>
    </div>
  );
}

function Waiting({ state, onNow }: { state: Extract<State, { name: "waiting" }>; onNow: () => void }) {
  const left = useSignal(Math.ceil(state.delay_ms / 1_000));
  useEffect(() => {
    left.value = Math.ceil(state.delay_ms / 1_000);
    const end = performance.now() + state.delay_ms;
    const timer = setInterval(() => (left.value = Math.max(0, Math.ceil((end - performance.now()) / 1_000))), 250);
    return () => clearInterval(timer);
  }, [state]);
  return (
    <div class="banner">
      <span>{LOST}</span>
      {/* The count is not for readers of the screen, to whom every second would be told. */}
      <span class="countdown" aria-hidden="true">
        Trying again in {left.value} s
      </span>
      <button onClick={onNow}>Try now</button>
    </div>
  );
}
