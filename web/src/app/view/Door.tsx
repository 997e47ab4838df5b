import { useSignal } from "@preact/signals";
import { showInAddress } from "../address.ts";
import { lastRoom, lastUser, rememberOpen, type Identity } from "../saved.ts";
import { Mark } from "./icons.tsx";

const focusFirst = (field: HTMLInputElement | null) => field?.focus();

/** Asks for a name and a room. */
export function Door({ refusal, onEnter }: { refusal: string; onEnter: (identity: Identity) => void }) {
  const withToken = useSignal(refusal.includes("token"));
  const enter = (event: SubmitEvent) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    const field = (name: string) =>
      String(fields.get(name) ?? "")
        .trim()
        .normalize("NFC");
    const room = field("room") || "general";
    rememberOpen(room);
    showInAddress(room, "");
    const token = field("token");
    onEnter({ user: field("user"), ...(token && { token }) });
  };
  return (
    <main class="door">
      <form class="door-card" onSubmit={enter}>
        <Mark />
        <h1>Welcome to Parlour</h1>
        <p class="quiet">Choose how others see you, and a room to talk in.</p>
        {refusal && (
          <p class="refusal" role="alert">
            {refusal}
          </p>
        )}
        <label class="field">
          <span>Your name</span>
          <input
            name="user"
            required={!withToken.value}
            maxLength={64}
            defaultValue={lastUser()}
            ref={focusFirst}
            autocomplete="nickname"
            spellcheck={false}
          />
        </label>
        <label class="field">
          <span>Room</span>
          <input
            name="room"
            required
            maxLength={128}
            defaultValue={lastRoom()}
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
          />
        </label>
        {withToken.value ? (
          <label class="field">
            <span>Access token</span>
            <input name="token" type="password" autocomplete="off" />
          </label>
        ) : (
          <button type="button" class="link" onClick={() => (withToken.value = true)}>
            I have an access token
          </button>
        )}
        <button class="primary">Enter</button>
      </form>
    </main>
  );
}
