// Faces that somebody looks at together, in this person's hands for as long as they are in view, so that no two people
// judge the same. It knows nothing of the page: what it needs is handed in.

/** How often a sign of life is given: leases last a minute. */
const EVERY = 20_000;

export interface Hands {
  /** Takes faces that nobody has, or keeps them; says which are somebody else's. */
  take(faceIds: string[]): Promise<string[]>;
  /** Puts faces back, for everybody. */
  putBack(faceIds: string[]): Promise<unknown>;
  /** Told of faces that somebody else has. */
  lost(faceIds: string[]): void;
}

export class Hold {
  private held = new Set<string>();
  private heart: ReturnType<typeof setInterval> | undefined;
  /** Requests go one after the other: what was put back is not to be taken before. */
  private turn: Promise<unknown> = Promise.resolve();

  constructor(private hands: Hands) {}

  /** These are in view. Others are put back, but for those that were judged: their labels end that by themselves, and
   * nobody else is to have them before. */
  keep(faceIds: readonly string[], isJudged: (faceId: string) => boolean): void {
    this.heart ??= setInterval(() => this.take([...this.held]), EVERY);
    const before = this.held;
    this.held = new Set(faceIds);
    this.putBack([...before].filter((id) => !this.held.has(id) && !isJudged(id)));
    this.take(faceIds.filter((id) => !before.has(id)));
  }

  /** Nothing is in view any more. */
  end(): void {
    clearInterval(this.heart);
    this.heart = undefined;
    this.putBack([...this.held]);
    this.held = new Set();
  }

  private take(faceIds: string[]): void {
    this.inTurn(faceIds, async () => {
      const lost = (await this.hands.take(faceIds)).filter((id) => this.held.delete(id));
      if (lost.length > 0) this.hands.lost(lost);
    });
  }

  private putBack(faceIds: string[]): void {
    this.inTurn(faceIds, () => this.hands.putBack(faceIds));
  }

  private inTurn(faceIds: string[], work: () => Promise<unknown>): void {
    if (faceIds.length === 0) return;
    // Without an answer the faces are judged all the same, and asked for again.
    this.turn = this.turn.then(work).catch(() => undefined);
  }
}
