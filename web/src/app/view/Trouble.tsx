import type { Signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

/** How long a passing notice stays, in milliseconds. */
const SHOWN_MS = 6_000;

/** A passing notice of something that went wrong. */
export function Trouble({ trouble }: { trouble: Signal<string> }) {
  const text = trouble.value;
  useEffect(() => {
    if (!text) return undefined;
    const timer = setTimeout(() => (trouble.value = ""), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <div class="trouble-frame" role="status">
      {text && <div class="trouble">{text}</div>}
    </div>
  );
}
