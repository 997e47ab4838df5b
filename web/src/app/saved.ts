/** What this browser remembers between visits. Nothing here is secret; a token is kept per tab only. */
import type { Position, Seq, Storage } from "../sdk/index.ts";

export interface Identity {
  user: string;
  token?: string;
}

interface Saved {
  user: string;
  /** The room to open, and all rooms to be in. */
  room: string;
  rooms: string[];
  /** Up to where each room was read: epoch and number. */
  read: Record<string, [epoch: string, seq: string]>;
}

/** Most rooms that are remembered, oldest forgotten first. */
const ROOMS = 50;
const KEY = "parlour";
const TOKEN_KEY = "parlour.token";

const saved: Saved = { user: "", room: "general", rooms: [], read: {}, ...load() };

function load(): Partial<Saved> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Saved>;
  } catch {
    return {};
  }
}

function store(): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(saved));
  } catch {
    // A full or forbidden storage costs only the memory between visits.
  }
}

export function lastUser(): string {
  return saved.user;
}

export function lastRoom(): string {
  return saved.room;
}

export function knownRooms(): string[] {
  return [...saved.rooms];
}

/** Returns who was signed in here, if they did not sign out. */
export function lastIdentity(): Identity | undefined {
  const token = sessionStorage.getItem(TOKEN_KEY);
  if (token) return { user: saved.user, token };
  return saved.user ? { user: saved.user } : undefined;
}

export function signIn({ user, token }: Identity): void {
  if (user !== saved.user) saved.rooms = saved.rooms.filter((room) => !room.startsWith("@"));
  saved.user = user;
  if (token) sessionStorage.setItem(TOKEN_KEY, token);
  store();
}

export function signOut(): void {
  saved.user = "";
  sessionStorage.removeItem(TOKEN_KEY);
  store();
}

export function remember(room: string): void {
  saved.rooms = [...saved.rooms.filter((known) => known !== room), room].slice(-ROOMS);
  store();
}

export function rememberOpen(room: string): void {
  saved.room = room;
  store();
}

export function forget(room: string): void {
  saved.rooms = saved.rooms.filter((known) => known !== room);
  delete saved.read[room];
  store();
}

/** Returns up to where a room was read, if its numbers still mean the same. */
export function readUpTo(room: string, epoch: string): Seq | undefined {
  const [known, seq] = saved.read[room] ?? [];
  return known === epoch && seq !== undefined ? BigInt(seq) : undefined;
}

export function rememberRead(room: string, { epoch, seq }: Position): void {
  if (saved.read[room]?.[1] === String(seq)) return;
  saved.read[room] = [epoch, String(seq)];
  store();
}

/** Where the SDK remembers positions. Who comes with a token is known only to the server: per tab. */
export function cursorStorage({ token }: Identity): Storage {
  return token ? sessionStorage : localStorage;
}
