// Rows as CSV (RFC 4180), and a file out of what stands in memory.

import type { Cell, Row } from "../../api/types.ts";

function field(cell: Cell | undefined): string {
  if (cell === null || cell === undefined) return "";
  const text = typeof cell === "object" ? JSON.stringify(cell) : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csv(columns: readonly string[], rows: readonly Row[]): string {
  const lines = [columns.map(field).join(","), ...rows.map((row) => columns.map((name) => field(row[name])).join(","))];
  return `${lines.join("\r\n")}\r\n`;
}

export function save(name: string, contents: Blob): void {
  const address = URL.createObjectURL(contents);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The download has begun by then; the address would keep the contents in memory.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
