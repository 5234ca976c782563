// How fast somebody works, from the times of their acts. A pause is no work: longer gaps do not count.

/** A gap that is a pause, in milliseconds. */
const PAUSE = 60_000;
/** Acts that the rate is taken from. */
const RECENT = 60;

export interface Pace {
  /** Faces a minute; null before there is anything to tell from. */
  perMinute: number | null;
  /** Faces since the last pause. */
  sitting: number;
}

/** `times` in order, milliseconds. */
export function pace(times: readonly number[], now: number): Pace {
  let sitting = 0;
  if (times.length > 0 && now - (times.at(-1) ?? 0) <= 5 * PAUSE) {
    sitting = 1;
    for (let i = times.length - 1; i > 0; i -= 1) {
      if ((times[i] ?? 0) - (times[i - 1] ?? 0) > 5 * PAUSE) break;
      sitting += 1;
    }
  }
  const recent = times.slice(-RECENT);
  let worked = 0;
  let gaps = 0;
  for (let i = 1; i < recent.length; i += 1) {
    const gap = (recent[i] ?? 0) - (recent[i - 1] ?? 0);
    if (gap > PAUSE) continue;
    worked += gap;
    gaps += 1;
  }
  return { perMinute: gaps >= 5 && worked > 0 ? (60_000 * gaps) / worked : null, sitting };
}

/** How long so many faces take at this pace, in words. */
export function duration(faces: number, perMinute: number): string {
  const minutes = faces / perMinute;
  if (minutes < 1) return "less than a minute";
  if (minutes < 90) return `about ${Math.round(minutes)} minute${Math.round(minutes) === 1 ? "" : "s"}`;
  const hours = minutes / 60;
  return `about ${hours < 10 ? hours.toFixed(1) : Math.round(hours)} hours`;
}
