// Where acts wait and are remembered: this browser's IndexedDB, so that a reload or a crash loses none.

import { openDB, type DBSchema, type IDBPDatabase } from "idb";
import type { Task } from "../api/types.ts";
import { isPending, type Act } from "./act.ts";

/** Acts that can still be taken back after a reload. */
const REMEMBERED = 500;

/** What the queue last handed out, for a page that is opened while the server is away. */
export interface KeptFeed {
  annotator: string;
  tasks: Task[];
  waiting: number;
  round: number | null;
}

interface Schema extends DBSchema {
  acts: { key: string; value: Act; indexes: { seq: number } };
  feed: { key: string; value: KeptFeed };
}

let opening: Promise<IDBPDatabase<Schema>> | null = null;

function database(): Promise<IDBPDatabase<Schema>> {
  opening ??= openDB<Schema>("marginalia", 1, {
    upgrade(db) {
      db.createObjectStore("acts", { keyPath: "id" }).createIndex("seq", "seq");
      db.createObjectStore("feed");
    },
  });
  return opening;
}

export async function putAct(act: Act): Promise<void> {
  const db = await database();
  // On the disk before the page moves on: this is what "saved" means while the server is away.
  const transaction = db.transaction("acts", "readwrite", { durability: "strict" });
  await Promise.all([transaction.store.put(act), transaction.done]);
}

/** All that waits, and the newest of the rest, in their order; older ones are forgotten. */
export async function allActs(): Promise<Act[]> {
  const db = await database();
  const acts = await db.getAllFromIndex("acts", "seq");
  const old = acts.slice(0, -REMEMBERED).filter((act) => !isPending(act));
  if (old.length > 0) {
    const transaction = db.transaction("acts", "readwrite");
    await Promise.all([...old.map((act) => transaction.store.delete(act.id)), transaction.done]);
  }
  const forgotten = new Set(old.map((act) => act.id));
  return acts.filter((act) => !forgotten.has(act.id));
}

export async function oneAct(id: string): Promise<Act | undefined> {
  return (await database()).get("acts", id);
}

/** Changes an act in one transaction, so that an undo and an answer of the server cannot overwrite each other. */
export async function changeAct(id: string, change: (act: Act) => Act): Promise<Act | undefined> {
  const db = await database();
  const transaction = db.transaction("acts", "readwrite", { durability: "strict" });
  const act = await transaction.store.get(id);
  const changed = act && change(act);
  if (changed) await transaction.store.put(changed);
  await transaction.done;
  return changed;
}

export async function keepFeed(feed: KeptFeed): Promise<void> {
  await (await database()).put("feed", feed, "feed");
}

export async function keptFeed(): Promise<KeptFeed | undefined> {
  return (await database()).get("feed", "feed");
}
