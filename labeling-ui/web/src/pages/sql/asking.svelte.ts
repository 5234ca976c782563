// One question at a time, and its answer.

import { type FileFormat, sql, sqlFile, type When } from "../../api/calls.ts";
import { isAbort, Problem, Unreachable } from "../../api/http.ts";
import type { Row, Table } from "../../api/types.ts";
import { csv, save } from "./csv.ts";
import { wrongAt } from "./wrong.ts";

export class Asking {
  answer = $state.raw<Table<Row> | null>(null);
  /** The text that the answer belongs to, and the state of the tables that it was asked of. */
  asked = $state.raw<{ query: string; when: When } | null>(null);
  milliseconds = $state(0);
  trouble = $state<string | null>(null);
  isRunning = $state(false);
  private stop: AbortController | null = null;

  /** Asks; says where the text goes wrong, if it does. */
  async run(query: string, when: When): Promise<{ line: number; column: number } | null> {
    this.stop?.abort();
    const stop = new AbortController();
    this.stop = stop;
    this.isRunning = true;
    let began = performance.now();
    try {
      // What the page asks for itself comes first, and is no part of this question's time.
      const answer = await sql<Row>(query, when, stop.signal, () => (began = performance.now()));
      this.milliseconds = performance.now() - began;
      this.answer = answer;
      this.asked = { query, when };
      this.trouble = null;
      return null;
    } catch (error) {
      if (isAbort(error)) return null;
      this.answer = null;
      this.trouble = words(error);
      return error instanceof Problem ? wrongAt(error.detail) : null;
    } finally {
      if (this.stop === stop) this.isRunning = false;
    }
  }

  cancel(): void {
    this.stop?.abort();
  }

  saveCsv(): void {
    if (!this.answer) return;
    const columns = this.answer.columns.map((column) => column.name);
    save("answer.csv", new Blob([csv(columns, this.answer.rows)], { type: "text/csv" }));
  }

  /** Asked again as a file: it holds what the table cannot show. */
  async saveAs(format: FileFormat): Promise<void> {
    if (!this.asked) return;
    const name = { arrow: "answer.arrows", parquet: "answer.parquet" }[format];
    try {
      save(name, await sqlFile(format, this.asked.query, this.asked.when));
    } catch (error) {
      this.trouble = words(error);
    }
  }
}

function words(error: unknown): string {
  if (error instanceof Unreachable) return "The server does not answer, or the answer broke off. Run it again.";
  if (!(error instanceof Problem)) throw error;
  if (error.code === "query_timeout") return `${error.detail} Add a LIMIT, or a round to WHERE.`;
  return error.detail.replace(/^query failed: /, "");
}
