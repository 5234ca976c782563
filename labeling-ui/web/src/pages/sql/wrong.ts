// Where a query goes wrong, out of the words that say so.

export function wrongAt(detail: string): { line: number; column: number } | null {
  const found = /line:?\s*(\d+),\s*column:?\s*(\d+)/i.exec(detail);
  return found ? { line: Number(found[1]), column: Number(found[2]) } : null;
}
