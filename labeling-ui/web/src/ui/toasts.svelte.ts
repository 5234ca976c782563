// Short words about what has just happened. They stay a while, longer under the pointer, and screen readers hear them.

export interface Toast {
  id: number;
  words: string;
}

const STAY = 6000;

class Toasts {
  shown = $state.raw<Toast[]>([]);
  /** What screen readers are told and nobody sees. */
  aside = $state("");
  private next = 1;
  private timers = new Map<number, ReturnType<typeof setTimeout>>();

  say(words: string): void {
    const toast = { id: this.next++, words };
    // The newest two: more would hide the page.
    this.shown = [...this.shown.slice(-1), toast];
    this.wait(toast.id);
  }

  /** For screen readers only. */
  tell(words: string): void {
    this.aside = words;
  }

  wait(id: number): void {
    clearTimeout(this.timers.get(id));
    this.timers.set(
      id,
      setTimeout(() => this.drop(id), STAY),
    );
  }

  hold(id: number): void {
    clearTimeout(this.timers.get(id));
  }

  drop(id: number): void {
    this.timers.delete(id);
    this.shown = this.shown.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
