// What one page hands to another and is too long for an address: kept for this tab under a short key, so that a reload
// and a step back find it again.

const PREFIX = "marginalia.list.";
/** Lists that a tab keeps; the oldest goes first. */
const MOST = 12;

const here = new Map<string, unknown>();

export function hand(list: unknown): string {
  const key = Date.now().toString(36);
  here.set(key, list);
  try {
    const old = Object.keys(sessionStorage)
      .filter((name) => name.startsWith(PREFIX))
      .sort()
      .slice(0, -(MOST - 1));
    for (const name of old) sessionStorage.removeItem(name);
    sessionStorage.setItem(PREFIX + key, JSON.stringify(list));
  } catch {
    // Then it lasts until the page is left.
  }
  return key;
}

/** What was handed over under a key; null where this tab does not have it any more. */
export function handed<T>(key: string): T | null {
  if (here.has(key)) return here.get(key) as T;
  try {
    const text = sessionStorage.getItem(PREFIX + key);
    return text === null ? null : (JSON.parse(text) as T);
  } catch {
    return null;
  }
}
