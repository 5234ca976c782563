// What is said when something was taken back or said again.

import { keyOf } from "../actions/offers.svelte.ts";
import { said, type Act } from "../outbox/act.ts";
import { count, plural, word } from "../ui/words.ts";

export function undoneWords(act: Act): string {
  const many = act.judgements.length;
  const kinds = new Set(act.judgements.map((judgement) => judgement.expression ?? judgement.verdict));
  const key = keyOf("redo");
  const again = key ? ` Redo: ${key}.` : "";
  if (many === 1) return `Took back ${word(said(act))} on the last face.${again}`;
  const what = kinds.size === 1 ? ` of ${word(said(act))}` : "";
  return `Took back ${count(many)} labels${what}.${again}`;
}

export function redoneWords(act: Act): string {
  const many = act.judgements.length;
  return many === 1 ? `Said ${word(said(act))} again.` : `${plural(many, "label")} are back.`;
}
