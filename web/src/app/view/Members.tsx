import type { Member } from "../../sdk/index.ts";
import type { Chat } from "../chat.ts";
import type { Conversation } from "../conversation.ts";
import { ago, now } from "../time.ts";
import { CloseIcon } from "./icons.tsx";
import { MemberMenu } from "./MemberMenu.tsx";
import { Avatar, Dot, Name } from "./people.tsx";

interface Props {
  chat: Chat;
  conversation: Conversation;
  onClose: () => void;
}

export function Members({ chat, conversation, onClose }: Props) {
  const { members, peer, present, memberCount } = conversation;
  if (peer !== undefined) return null;
  const byName = (a: Member, b: Member) => a.user.localeCompare(b.user);
  const absent = [...members.value.values()].filter(({ status }) => status === "offline");
  const here = [...present.value].sort(byName);
  const count = Math.max(memberCount.value, here.length);
  return (
    <aside class="side members" aria-label="Members">
      <div class="side-head">
        <h2>Members</h2>
        <span class="space" />
        <button class="plain only-narrow" aria-label="Close" onClick={onClose}>
          <CloseIcon />
        </button>
      </div>
      <div class="side-body">
        <h3>Here — {count}</h3>
        <ul>
          {here.map((member) => (
            <MemberRow key={member.user} chat={chat} conversation={conversation} member={member} />
          ))}
        </ul>
        {count > here.length && <p class="quiet more">and {count - here.length} more</p>}
        {absent.length > 0 && <h3>Lately</h3>}
        <ul>
          {absent
            .sort((a, b) => b.last_active_ms - a.last_active_ms)
            .map((member) => (
              <MemberRow key={member.user} chat={chat} conversation={conversation} member={member} />
            ))}
        </ul>
      </div>
    </aside>
  );
}

function MemberRow({ chat, conversation, member }: { chat: Chat; conversation: Conversation; member: Member }) {
  const isSelf = member.user === chat.user.value;
  const activity =
    member.status === "online" ? member.text : (member.text ?? `active ${ago(member.last_active_ms, now.value)}`);
  return (
    <li class={`row member ${member.status}`}>
      <button
        class="row-main"
        disabled={isSelf}
        title={isSelf ? undefined : `Write to ${member.user} in private`}
        onClick={() => chat.showPrivate(member.user)}
      >
        <span class="avatar-frame">
          <Avatar user={member.user} />
          <Dot member={member} />
        </span>
        <span class="member-text">
          <span class="member-name">
            <Name>{member.user}</Name>
            {isSelf && <span class="quiet"> (you)</span>}
          </span>
          {activity && <span class="quiet activity">{activity}</span>}
        </span>
      </button>
      <MemberMenu chat={chat} conversation={conversation} user={member.user} />
    </li>
  );
}
