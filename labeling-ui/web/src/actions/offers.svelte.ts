// What can be done right now: pages offer acts while they are open, and every way to an act (key, button, menu) comes
// here.

import { untrack } from "svelte";
import { session } from "../shell/session.svelte.ts";
import { bindings } from "./binding.svelte.ts";
import { isSingle, nameOf, Sequence, spoken, written } from "./keys.ts";
import { ACTIONS, action, may } from "./table.ts";

/** Does an act. `pressed` is when its key went down; null where it came another way. */
export type Deed = (pressed: number | null) => void;

class Offers {
  // Not a state itself: while an effect is torn down, states still read as they were before.
  private sets: Record<string, Deed>[] = [];
  private version = $state(0);
  private sequence = new Sequence();
  /** Dialogs that are open: they have the keyboard to themselves. */
  dialogs = $state(0);

  has(id: string): boolean {
    return this.deed(id) !== undefined;
  }

  do(id: string, pressed: number | null = null): void {
    this.deed(id)?.(pressed);
  }

  /** Acts that can be done now, in the table's order. */
  get all(): string[] {
    return ACTIONS.map(({ id }) => id).filter((id) => this.has(id));
  }

  add(offered: Record<string, Deed>): () => void {
    this.sets.push(offered);
    this.version += 1;
    return () => {
      this.sets = this.sets.filter((set) => set !== offered);
      this.version += 1;
    };
  }

  /** What was offered last goes first: a page's act before one of the frame around it. Nobody is offered what the
   * server would refuse them. */
  private deed(id: string): Deed | undefined {
    void this.version;
    if (!may(session.role, id)) return undefined;
    return this.sets.findLast((set) => set[id])?.[id];
  }

  keydown(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.isComposing || event.repeat || this.dialogs > 0) return;
    const name = nameOf(event);
    if (name === null) return;
    if (isTyping(event) && !(name.startsWith("mod+") && !/^mod\+(shift\+)?[zya]$/.test(name))) return;
    if (!bindings.isSingleOn && isSingle(name)) return;
    // Enter and Space press what is in focus, if that is something to press.
    if (/^(enter|space)$/.test(name) && isPressable(event)) return;
    const ids = this.sets.toReversed().flatMap((set) => Object.keys(set));
    const begins = (first: string) => ids.some((id) => bindings.keysOf(id).some((key) => key.startsWith(`${first} `)));
    const keys = this.sequence.press(name, event.timeStamp, begins);
    const id = ids.find((id) => this.has(id) && bindings.keysOf(id).some((key) => keys.includes(key)));
    if (id === undefined) return;
    event.preventDefault();
    this.do(id, event.timeStamp);
  }
}

export const offers = new Offers();

/** Offers acts for as long as the component that calls it lives. */
export function offer(deeds: () => Record<string, Deed>): void {
  $effect(() => {
    const offered = deeds();
    return untrack(() => offers.add(offered));
  });
}

/** The key of an act as it is shown, if it has one. */
export function keyOf(id: string): string | null {
  const key = bindings.keysOf(id)[0];
  return key === undefined ? null : written(key);
}

export function shortcutOf(id: string): string | undefined {
  const key = bindings.keysOf(id)[0];
  return key === undefined ? undefined : spoken(key);
}

export function titleOf(id: string): string {
  return action(id).title;
}

function target(event: KeyboardEvent): HTMLElement | null {
  // Behind a shadow root the event's own target is only the host.
  const inner = event.composedPath()[0];
  return inner instanceof HTMLElement ? inner : null;
}

function isTyping(event: KeyboardEvent): boolean {
  const inner = target(event);
  if (!inner) return false;
  if (inner.isContentEditable || inner instanceof HTMLTextAreaElement || inner instanceof HTMLSelectElement)
    return true;
  return inner instanceof HTMLInputElement && !["checkbox", "radio", "button", "range"].includes(inner.type);
}

function isPressable(event: KeyboardEvent): boolean {
  const inner = target(event);
  return inner instanceof HTMLButtonElement || inner instanceof HTMLAnchorElement || inner?.tagName === "SUMMARY";
}
