// Which key stands for which act: the table's, or what somebody chose instead.

import { keep, kept } from "../ui/kept.ts";
import { ACTIONS, action, meet, type Action } from "./table.ts";

type Chosen = Record<string, string[]>;

class Bindings {
  private chosen = $state.raw<Chosen>(kept<Chosen>("keys", {}));
  /** Whether plain keys do anything; words with Ctrl or Cmd always do. */
  isSingleOn = $state(kept("single-keys", true));

  keysOf(id: string): readonly string[] {
    return this.chosen[id] ?? action(id).keys;
  }

  get isChanged(): boolean {
    return Object.keys(this.chosen).length > 0;
  }

  /** Gives an act one key, or says whose it is already. */
  bind(id: string, key: string): Action | null {
    const mine = action(id);
    const other = ACTIONS.find(
      (other) => other.id !== id && meet(mine.group, other.group) && this.collides(other.id, key),
    );
    if (other) return other;
    this.set({ ...this.chosen, [id]: [key] });
    return null;
  }

  reset(): void {
    this.set({});
  }

  setSingle(isOn: boolean): void {
    this.isSingleOn = isOn;
    keep("single-keys", isOn);
  }

  private collides(id: string, key: string): boolean {
    // The first key of a sequence is taken too.
    return this.keysOf(id).some((taken) => taken === key || taken.startsWith(`${key} `) || key.startsWith(`${taken} `));
  }

  private set(chosen: Chosen): void {
    this.chosen = chosen;
    keep("keys", chosen);
  }
}

export const bindings = new Bindings();
