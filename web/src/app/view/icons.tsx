import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export const MenuIcon = () => (
  <Icon>
    <path d="M4 7h16M4 12h16M4 17h16" />
  </Icon>
);
export const PeopleIcon = () => (
  <Icon>
    <circle cx="9" cy="8" r="3.500" />
    <path d="M2.500 20c.5-4 3-6 6.500-6s6 2 6.500 6M16 4.800a3.500 3.500 0 0 1 0 6.400M18.500 14.500c1.700 1 2.700 2.800 3 5.500" />
  </Icon>
);
export const SendIcon = () => (
  <Icon>
    <path d="M12 19V5M5.500 11.500 12 5l6.500 6.500" />
  </Icon>
);
export const DownIcon = () => (
  <Icon>
    <path d="M12 5v14M5.500 12.500 12 19l6.500-6.500" />
  </Icon>
);
export const SearchIcon = () => (
  <Icon>
    <circle cx="11" cy="11" r="6.500" />
    <path d="m16 16 4.500 4.500" />
  </Icon>
);
export const CloseIcon = () => (
  <Icon>
    <path d="M6 6l12 12M18 6 6 18" />
  </Icon>
);
export const DotsIcon = () => (
  <Icon>
    <path d="M5 12h.01M12 12h.01M19 12h.01" />
  </Icon>
);
export const FlagIcon = () => (
  <Icon>
    <path d="M6 21V4M6 5h11l-2 4 2 4H6" />
  </Icon>
);
export const PlusIcon = () => (
  <Icon>
    <path d="M12 5v14M5 12h14" />
  </Icon>
);
export const ExitIcon = () => (
  <Icon>
    <path d="M10 4H5v16h5M14 8l4 4-4 4M18 12H9" />
  </Icon>
);

/** The sign of the house. */
export const Mark = () => (
  <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="8" fill="currentColor" />
    <path class="mark-bubble" d="M9 8h10a6 6 0 0 1 0 12h-5l-5 5V8z" />
    <circle cx="13.500" cy="14" r="1.600" fill="currentColor" />
    <circle cx="18.500" cy="14" r="1.600" fill="currentColor" />
  </svg>
);
export const SmileIcon = () => (
  <Icon>
    <circle cx="12" cy="12" r="8.500" />
    <path d="M8.500 14c1.800 2.700 5.200 2.700 7 0M9 9.500v.01M15 9.500v.01" />
  </Icon>
);
export const ReplyIcon = () => (
  <Icon>
    <path d="M9.500 6 4.500 11l5 5M5 11h8c4 0 6 2.500 6.500 7" />
  </Icon>
);
export const ThreadIcon = () => (
  <Icon>
    <path d="M4 5h16v11H10l-4 4v-4H4zM8 9h8M8 12h5" />
  </Icon>
);
export const PinIcon = () => (
  <Icon>
    <path d="M9 4h6l-1 6 3 3H7l3-3zM12 13v7" />
  </Icon>
);
export const EditIcon = () => (
  <Icon>
    <path d="m5 19 1-4L16 5l3 3L9 18z" />
  </Icon>
);
export const TrashIcon = () => (
  <Icon>
    <path d="M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13" />
  </Icon>
);
export const GoIcon = () => (
  <Icon>
    <path d="M5 9h14M5 15h14M10 4 8 20M16 4l-2 16" />
  </Icon>
);
export const GearIcon = () => (
  <Icon>
    <path d="M4 7h9M19 7h1M4 17h1M11 17h9" />
    <circle cx="16" cy="7" r="2.500" />
    <circle cx="8" cy="17" r="2.500" />
  </Icon>
);
