import type { Conversation } from "../conversation.ts";
import { Name } from "./people.tsx";

/** Most names that are told; more are told as a number. */
const NAMED = 3;

/** Says who is typing. */
export function Typing({ conversation }: { conversation: Conversation }) {
  const users = conversation.typing.value;
  const named = users.length > NAMED ? [] : users;
  return (
    <div class="typing" aria-live="polite">
      {users.length > 0 && (
        <span class="typing-dots" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
      )}
      {named.map((user, index) => (
        <span key={user}>
          {index > 0 && (index === named.length - 1 ? " and " : ", ")}
          <Name>{user}</Name>
        </span>
      ))}
      {users.length > NAMED && `${users.length} people`}
      {users.length > 0 && (users.length === 1 ? " is typing" : " are typing")}
    </div>
  );
}
