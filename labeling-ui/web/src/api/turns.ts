// The server answers only so many queries side by side and refuses the rest, so a page with eight charts asks in turns, and
// asks again where others were faster.

import { Problem } from "./http.ts";

const SIDE_BY_SIDE = 2;
const TRIES = 8;

export class Turns {
  private running = 0;
  private waiting: (() => void)[] = [];

  async take<T>(ask: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    while (this.running >= SIDE_BY_SIDE) await new Promise<void>((go) => this.waiting.push(go));
    this.running += 1;
    try {
      signal?.throwIfAborted();
      return await this.patiently(ask, signal);
    } finally {
      this.running -= 1;
      this.waiting.shift()?.();
    }
  }

  private async patiently<T>(ask: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (let tried = 1; ; tried += 1) {
      try {
        return await ask();
      } catch (error) {
        const isCrowded = error instanceof Problem && error.code === "too_many_queries";
        if (!isCrowded || tried === TRIES) throw error;
        await new Promise((go) => setTimeout(go, 100 * tried));
        signal?.throwIfAborted();
      }
    }
  }
}
