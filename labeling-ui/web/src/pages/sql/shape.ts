// What chart fits an answer: bars where names have numbers, lines where numbers or times run along.

import type { Row, Table } from "../../api/types.ts";

export interface AnswerShape {
  kind: "bars" | "lines";
  x: string;
  ys: string[];
  /** A column that tells lines apart, such as the class. */
  group: string | null;
  rows: Row[];
}

const MOST_BARS = 60;

export function chartOf(table: Table<Row>): AnswerShape | null {
  const { rows } = table;
  if (rows.length === 0) return null;
  const isNumber = (type: string) => /^(U?Int|Float|Decimal)/.test(type);
  const isTime = (type: string) => /^(Timestamp|Date)/.test(type);
  const names = table.columns.filter(({ type }) => /^(Large)?Utf8|^Boolean/.test(type)).map(({ name }) => name);
  const numbers = table.columns.filter(({ type }) => isNumber(type)).map(({ name }) => name);
  const times = table.columns.filter(({ type }) => isTime(type)).map(({ name }) => name);
  const along = times[0] ?? numbers.find((name) => ["epoch", "round", "t", "low", "rank"].includes(name));
  const values = numbers.filter((name) => name !== along && name !== "round" && name !== "epoch" && name !== "t");
  const first = values[0];
  if (first === undefined) return null;
  if (along !== undefined && rows.length > 1) {
    return { kind: "lines", x: along, ys: names[0] ? [first] : values.slice(0, 4), group: names[0] ?? null, rows };
  }
  const name = names.find((name) => name !== "face_id");
  if (name === undefined || rows.length > MOST_BARS) return null;
  return { kind: "bars", x: name, ys: [first], group: null, rows };
}
