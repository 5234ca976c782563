// Who is at work here, and with which classes.

import { sql, whoAmI } from "../api/calls.ts";
import { Problem, whenLoginIsOver } from "../api/http.ts";
import type { Caller } from "../api/types.ts";
import { CLASSES } from "../sql/texts.ts";
import { keep, kept } from "../ui/kept.ts";

class Session {
  /** The name that labels bear; the token's, where there is one. */
  annotator = $state(kept("annotator", ""));
  isNamedByToken = $state(false);
  role = $state<Caller["role"]>("admin");
  mayJudge = $derived(this.role !== "reader");
  /** Whether a pseudonym stands for every name but one's own. */
  isBlind = $state(false);
  classes = $state.raw<string[]>(kept("classes", []));
  needsLogin = $state(false);

  constructor() {
    whenLoginIsOver(() => {
      this.needsLogin = true;
    });
  }

  async open(): Promise<void> {
    try {
      // One after the other: whoever is not let in is refused once.
      const caller = await whoAmI();
      const classes = await sql<{ expression: string }>(CLASSES);
      this.needsLogin = false;
      this.role = caller.role;
      this.isBlind = caller.blind;
      this.isNamedByToken = caller.name !== null;
      if (caller.name !== null) this.annotator = caller.name;
      this.classes = classes.rows.map((row) => row.expression);
      keep("classes", this.classes);
    } catch (error) {
      // Without an answer it goes on with what is known from before.
      if (error instanceof Problem && error.status === 401) this.needsLogin = true;
    }
  }

  name(annotator: string): void {
    this.annotator = annotator.trim();
    keep("annotator", this.annotator);
  }
}

export const session = new Session();
