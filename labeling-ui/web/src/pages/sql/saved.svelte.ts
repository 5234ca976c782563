// Queries that are kept under a name, for all who work on the corpus.

import { removeQuery, savedQueries, saveQuery } from "../../api/calls.ts";
import { reasonOf } from "../../api/http.ts";
import type { SavedQuery } from "../../api/types.ts";
import { keep, kept } from "../../ui/kept.ts";
import { toasts } from "../../ui/toasts.svelte.ts";

export class Saved {
  all = $state.raw<SavedQuery[]>([]);
  /** Queries without a name that this browser keeps from before there were names. */
  here = $state.raw<string[]>(kept("queries", []));

  async load(): Promise<void> {
    try {
      this.all = await savedQueries();
    } catch {
      // The page works without them; saving says what is wrong.
    }
  }

  named(name: string): SavedQuery | undefined {
    return this.all.find((query) => query.name === name.trim());
  }

  async save(name: string, query: string): Promise<void> {
    await saveQuery(name, query);
    await this.load();
  }

  async remove(name: string): Promise<void> {
    try {
      await removeQuery(name);
      toasts.say(`"${name}" is removed, for everybody.`);
    } catch (error) {
      toasts.say(reasonOf(error, "The server does not answer. The query stays."));
    }
    await this.load();
  }

  forget(query: string): void {
    this.here = this.here.filter((other) => other !== query);
    keep("queries", this.here);
  }
}
