// All that is shown of one round, asked for in SQL.

import { sql } from "../../api/calls.ts";
import { reasonOf } from "../../api/http.ts";
import { audits, epochs, margins, settings } from "../../sql/texts.ts";

export interface Epoch {
  epoch: number;
  loss: number;
  loss_supervised: number;
  loss_unlabelled: number;
  loss_contrastive: number;
  subset_one: number;
  subset_two: number;
  validation_accuracy: number | null;
  validation_macro_f1: number | null;
}

export interface Margin {
  epoch: number;
  expression: string;
  margin: number;
}

export interface Audit {
  expression: string;
  audited: number;
  correct: number;
  precision: number | null;
  low: number;
  high: number;
  withheld: boolean;
}

export interface Settings {
  seed: number;
  trigger: string;
  validation: number;
  target: number;
  allowedLoss: number;
  newLabels: number;
  continues: string | null;
}

export class Round {
  epochs = $state.raw<Epoch[]>([]);
  margins = $state.raw<Margin[]>([]);
  audits = $state.raw<Audit[]>([]);
  settings = $state.raw<Settings | null>(null);
  trouble = $state<string | null>(null);

  constructor(readonly round: number) {}

  async load(): Promise<void> {
    try {
      const [epoch, margin, audit, setting] = await Promise.all([
        sql<Epoch>(epochs(this.round)),
        sql<Margin>(margins(this.round)),
        sql<Audit>(audits(this.round)),
        sql<{ seed: number; trigger: string; validation: number; config: string }>(settings(this.round)),
      ]);
      this.epochs = epoch.rows;
      this.margins = margin.rows;
      this.audits = audit.rows;
      const row = setting.rows[0];
      if (row)
        this.settings = { seed: row.seed, trigger: row.trigger, validation: row.validation, ...configured(row.config) };
    } catch (error) {
      this.trouble = reasonOf(error);
    }
  }
}

/** What the page tells of a round's configuration. */
function configured(json: string): Pick<Settings, "target" | "allowedLoss" | "newLabels" | "continues"> {
  const config = JSON.parse(json) as {
    round?: { audit_target?: number; gate_macro_f1_loss?: number; trigger_new_labels?: number };
    continues?: string | null;
  };
  return {
    target: config.round?.audit_target ?? 0,
    allowedLoss: config.round?.gate_macro_f1_loss ?? 1,
    newLabels: config.round?.trigger_new_labels ?? 0,
    continues: config.continues ?? null,
  };
}
