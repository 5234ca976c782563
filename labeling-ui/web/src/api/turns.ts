// A browser keeps six connections to a server. A page with eight charts asks for them in turns, so that the label that
// is given meanwhile does not wait behind them; what the server has no room for yet waits there.

const SIDE_BY_SIDE = 2;

export class Turns {
  private running = 0;
  private waiting: (() => void)[] = [];

  async take<T>(ask: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    while (this.running >= SIDE_BY_SIDE) await new Promise<void>((go) => this.waiting.push(go));
    this.running += 1;
    try {
      signal?.throwIfAborted();
      return await ask();
    } finally {
      this.running -= 1;
      this.waiting.shift()?.();
    }
  }
}
