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
const turns = new Turns();

export interface When {
  at_round?: number;
  at?: string;
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
  return (await ask<{ flags: Flag[] }>("GET", "/api/flags")).flags;
}

export function setFlag(faceId: string, note: string, annotator: string): Promise<Flag> {
  return ask("POST", "/api/flags", { body: { face_id: faceId, note, annotator } });
}

export function takeFlagOff(flagId: string, annotator: string): Promise<void> {
  return ask("DELETE", `/api/flags/${flagId}?${new URLSearchParams({ annotator })}`);
}

export async function savedQueries(): Promise<SavedQuery[]> {
  return (await ask<{ queries: SavedQuery[] }>("GET", "/api/queries")).queries;
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

export function story(faceId: string, signal?: AbortSignal): Promise<Story> {
  return ask("GET", `/api/faces/${faceId}`, signal ? { signal } : {});
}

export function rounds(): Promise<Rounds> {
  return ask("GET", "/api/rounds");
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
