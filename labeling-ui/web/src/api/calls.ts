// One function for each thing that the API does.

import { ask, askBytes, Problem } from "./http.ts";
import { Turns } from "./turns.ts";
import type {
  Caller,
  FaceMap,
  Flag,
  Judgement,
  Rounds,
  SavedQuery,
  Served,
  StoredLabel,
  Story,
  Table,
} from "./types.ts";

/** Files that an answer can be. */
export type FileFormat = "arrow" | "parquet";

const ACCEPTED: Record<FileFormat, string> = {
  arrow: "application/vnd.apache.arrow.stream",
  parquet: "application/vnd.apache.parquet",
};

/** Bytes of a table that a page can hold. */
const LARGEST = 48e6;
/** Faces that one address names: it may have 64 kB. */
const NAMED = 400;
const turns = new Turns();

export interface When {
  at_round?: number;
  at?: string;
}

/** All parts of a list, of which one answer has so many at most. */
async function parts<A extends { next: string | null }>(path: string): Promise<[A, ...A[]]> {
  const all: [A, ...A[]] = [await ask<A>("GET", path)];
  let after: string | null = all[0].next;
  while (after) {
    const part: A = await ask<A>("GET", `${path}?${new URLSearchParams({ after })}`);
    all.push(part);
    after = part.next;
  }
  return all;
}

export function whoAmI(): Promise<Caller> {
  return ask("GET", "/api/session");
}

export function logIn(token: string): Promise<Caller> {
  return ask("POST", "/api/session", { body: { token } });
}

export function logOut(): Promise<void> {
  return ask("DELETE", "/api/session");
}

export function takeFromQueue(annotator: string, limit: number): Promise<Served> {
  return ask("GET", `/api/queue?${new URLSearchParams({ annotator, limit: String(limit) })}`);
}

export function extendLeases(annotator: string, faceIds: string[]): Promise<{ held: string[]; lost: string[] }> {
  return ask("POST", "/api/leases", { body: { annotator, face_ids: faceIds } });
}

/** Takes faces that nobody has, or keeps them; says which are somebody else's. */
export function takeLeases(annotator: string, faceIds: string[]): Promise<{ held: string[]; lost: string[] }> {
  return ask("POST", "/api/leases", { body: { annotator, face_ids: faceIds, take: true } });
}

/** Puts faces back, for everybody. */
export async function releaseLeases(annotator: string, faceIds: readonly string[]): Promise<void> {
  for (let from = 0; from < faceIds.length; from += NAMED) {
    const some = faceIds.slice(from, from + NAMED).join(",");
    await ask("DELETE", `/api/leases?${new URLSearchParams({ annotator, face_ids: some })}`);
  }
}

/** Stores judgements, all or none; the same key again is answered as the first time. */
export function storeLabels(judgements: Judgement[], idempotencyKey: string): Promise<{ labels: StoredLabel[] }> {
  return ask("POST", "/api/labels", { body: judgements, idempotencyKey });
}

export function takeBack(labelId: string, annotator: string): Promise<unknown> {
  return ask("DELETE", `/api/labels/${labelId}?${new URLSearchParams({ annotator })}`);
}

/** Takes labels back, all or none. */
export function takeAllBack(labelIds: string[], annotator: string): Promise<unknown> {
  return ask("POST", "/api/retractions", { body: { label_ids: labelIds, annotator } });
}

export async function flags(): Promise<Flag[]> {
  const all = await parts<{ flags: Flag[]; next: string | null }>("/api/flags");
  return all.flatMap((part) => part.flags);
}

export function setFlag(faceId: string, note: string, annotator: string): Promise<Flag> {
  return ask("POST", "/api/flags", { body: { face_id: faceId, note, annotator } });
}

export function takeFlagOff(flagId: string, annotator: string): Promise<void> {
  return ask("DELETE", `/api/flags/${flagId}?${new URLSearchParams({ annotator })}`);
}

export async function savedQueries(): Promise<SavedQuery[]> {
  const all = await parts<{ queries: SavedQuery[]; next: string | null }>("/api/queries");
  return all.flatMap((part) => part.queries);
}

export function saveQuery(name: string, query: string): Promise<SavedQuery> {
  return ask("PUT", `/api/queries/${encodeURIComponent(name)}`, { body: { sql: query } });
}

export function removeQuery(name: string): Promise<void> {
  return ask("DELETE", `/api/queries/${encodeURIComponent(name)}`);
}

export function map(round: number | null, signal?: AbortSignal): Promise<FaceMap> {
  return ask("GET", round === null ? "/api/map" : `/api/map?round=${round}`, signal ? { signal } : {});
}

/** Everything about a face, as this annotator may see it. */
export function story(faceId: string, annotator: string, signal?: AbortSignal): Promise<Story> {
  return ask("GET", `/api/faces/${faceId}?${new URLSearchParams({ annotator })}`, signal ? { signal } : {});
}

export async function rounds(): Promise<Rounds> {
  const [first, ...others] = await parts<Rounds>("/api/rounds");
  return { ...first, rounds: [first, ...others].flatMap((part) => part.rounds) };
}

export function startRound(): Promise<unknown> {
  return ask("POST", "/api/rounds");
}

export function stopRound(): Promise<unknown> {
  return ask("DELETE", "/api/rounds/current");
}

/** Asks in SQL; `sent` is told when its turn has come. */
export async function sql<R>(
  query: string,
  when: When = {},
  signal?: AbortSignal,
  sent: () => void = () => undefined,
): Promise<Table<R>> {
  const asking = { body: { query, ...when }, most: LARGEST, ...(signal ? { signal } : {}) };
  return turns.take(() => {
    sent();
    return ask<Table<R>>("POST", "/api/sql", asking);
  }, signal);
}

export function sqlFile(format: FileFormat, query: string, when: When = {}): Promise<Blob> {
  return askBytes("POST", "/api/sql", { body: { query, ...when }, accept: ACCEPTED[format] });
}

/** Where a face's picture is: as it came, or no larger than `width`. */
export function imageUrl(faceId: string, width?: 48 | 96 | 192 | 384): string {
  return `/api/faces/${faceId}/image${width ? `?w=${width}` : ""}`;
}

/** Whether the server has the last word on a face's picture now: it gives it, or says that there is none. */
export async function isImageAnswered(faceId: string): Promise<boolean> {
  try {
    await askBytes("GET", imageUrl(faceId));
    return true;
  } catch (error) {
    return error instanceof Problem && !error.isPassing && error.status !== 401;
  }
}
