// One answer about one face, from a page that is not the queue.

import { keyOf } from "../actions/offers.svelte.ts";
import type { Judgement, Lane, Verdict } from "../api/types.ts";
import { session } from "../shell/session.svelte.ts";
import { toasts } from "../ui/toasts.svelte.ts";
import { capital, short, word } from "../ui/words.ts";
import { outbox } from "./outbox.svelte.ts";

export function say(
  faceId: string,
  answer: { expression: string } | { verdict: Verdict },
  lane: Lane,
  note = "",
): void {
  const judgement: Judgement = { face_id: faceId, annotator: session.annotator, lane, ...answer };
  if (note.trim()) judgement.note = note.trim();
  outbox.add([judgement], []);
  const undo = keyOf("undo");
  const said = "expression" in answer ? answer.expression : answer.verdict;
  toasts.say(`${capital(word(said))}, for face ${short(faceId)}.${undo ? ` Undo: ${undo}.` : ""}`);
}
