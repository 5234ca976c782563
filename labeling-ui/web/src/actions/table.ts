// Every act of the page, once: its name, its key, and where it belongs. Buttons, menus, the help and the keyboard read
// this table; what an act does is said by the page that offers it (see offers.svelte.ts).

import type { Caller } from "../api/types.ts";

export type Group = "everywhere" | "judging" | "label" | "grid" | "review" | "rounds" | "charts" | "sql" | "map";

export interface Action {
  id: string;
  title: string;
  group: Group;
  /** Keys as keys.ts names them; several are alternatives. */
  keys: readonly string[];
  /** The least role that may do it; everybody may, where there is none. */
  needs?: "annotator" | "admin";
}

/** Names of the groups in the help, in its order. */
export const GROUPS: Record<Group, string> = {
  everywhere: "Everywhere",
  judging: "About the face in view",
  label: "Label",
  grid: "Grid",
  review: "Review",
  rounds: "Rounds",
  charts: "Charts",
  sql: "SQL",
  map: "Map",
};

/** Classes that have a key of their own; others are found by name. */
export const KEYED_CLASSES = 10;

const classes: Action[] = Array.from({ length: KEYED_CLASSES }, (_, place) => ({
  id: `class.${place}`,
  title: `Class ${place + 1}`,
  group: "judging",
  keys: [`digit${(place + 1) % 10}`],
  needs: "annotator",
}));

export const ACTIONS: readonly Action[] = [
  { id: "help", title: "All keys", group: "everywhere", keys: ["?"] },
  { id: "commands", title: "Commands", group: "everywhere", keys: ["mod+k"] },
  { id: "undo", title: "Undo", group: "everywhere", keys: ["mod+z"], needs: "annotator" },
  { id: "redo", title: "Redo", group: "everywhere", keys: ["mod+shift+z", "mod+y"], needs: "annotator" },
  { id: "go.label", title: "Go to Label", group: "everywhere", keys: ["g l"] },
  { id: "go.grid", title: "Go to Grid", group: "everywhere", keys: ["g g"] },
  { id: "go.review", title: "Go to Review", group: "everywhere", keys: ["g r"] },
  { id: "go.rounds", title: "Go to Rounds", group: "everywhere", keys: ["g o"] },
  { id: "go.corpus", title: "Go to Corpus", group: "everywhere", keys: ["g c"] },
  { id: "go.sql", title: "Go to SQL", group: "everywhere", keys: ["g q"] },
  { id: "go.map", title: "Go to Map", group: "everywhere", keys: ["g m"] },
  { id: "filter", title: "Filter", group: "everywhere", keys: ["/"] },
  { id: "panel", title: "Side panel", group: "everywhere", keys: ["["] },
  { id: "theme", title: "Light or dark", group: "everywhere", keys: [] },
  { id: "name", title: "Change your name", group: "everywhere", keys: [] },
  { id: "keys", title: "Change the keys", group: "everywhere", keys: [] },
  { id: "single", title: "Single-key shortcuts on or off", group: "everywhere", keys: [] },
  { id: "tour", title: "Show the tour again", group: "everywhere", keys: [] },
  { id: "logout", title: "Log out", group: "everywhere", keys: [] },

  ...classes,
  { id: "class.find", title: "Find a class by name", group: "judging", keys: [";"], needs: "annotator" },
  { id: "skip", title: "Skip", group: "judging", keys: ["s"], needs: "annotator" },
  { id: "unsure", title: "Unsure", group: "judging", keys: ["u"], needs: "annotator" },
  { id: "not_a_face", title: "Not a face", group: "judging", keys: ["n"], needs: "annotator" },
  { id: "note", title: "Add a note", group: "judging", keys: ["f"], needs: "annotator" },
  { id: "flag", title: "Flag for others", group: "judging", keys: ["b"], needs: "annotator" },
  { id: "similar", title: "Similar faces", group: "judging", keys: ["v"] },
  { id: "explain", title: "Explain this face", group: "judging", keys: ["e"] },

  { id: "accept", title: "Accept the suggestion", group: "label", keys: ["enter"], needs: "annotator" },
  { id: "earlier", title: "Look at an earlier face", group: "label", keys: ["arrowleft"] },
  { id: "later", title: "Back towards the queue", group: "label", keys: ["arrowright"] },
  { id: "smooth", title: "Pixels or smooth", group: "label", keys: ["z"] },
  { id: "retry", title: "Load the image again", group: "label", keys: ["r"] },

  { id: "grid.leave", title: "Leave out or keep", group: "grid", keys: ["space"], needs: "annotator" },
  { id: "grid.all", title: "Keep all", group: "grid", keys: ["mod+a"], needs: "annotator" },
  { id: "grid.invert", title: "Invert", group: "grid", keys: ["i"], needs: "annotator" },
  { id: "grid.confirm", title: "Confirm", group: "grid", keys: ["enter"], needs: "annotator" },
  { id: "grid.before", title: "Class before", group: "grid", keys: [","] },
  { id: "grid.after", title: "Class after", group: "grid", keys: ["."] },

  { id: "review.next", title: "Next", group: "review", keys: ["j"] },
  { id: "review.previous", title: "Previous", group: "review", keys: ["k"] },

  { id: "rounds.start", title: "Start a round", group: "rounds", keys: [], needs: "admin" },
  { id: "rounds.stop", title: "Stop the round", group: "rounds", keys: [], needs: "admin" },
  { id: "rounds.compare", title: "Compare", group: "rounds", keys: ["c"] },

  { id: "chart.sql", title: "Show the SQL of the chart in focus", group: "charts", keys: ["q"] },
  { id: "chart.table", title: "Show the chart in focus as a table", group: "charts", keys: ["t"] },

  { id: "sql.run", title: "Run", group: "sql", keys: ["mod+enter"] },
  { id: "sql.save", title: "Save the query", group: "sql", keys: ["mod+s"], needs: "annotator" },

  { id: "map.lasso", title: "Lasso", group: "map", keys: ["l"] },
  { id: "map.left", title: "Move left", group: "map", keys: ["arrowleft"] },
  { id: "map.right", title: "Move right", group: "map", keys: ["arrowright"] },
  { id: "map.up", title: "Move up", group: "map", keys: ["arrowup"] },
  { id: "map.down", title: "Move down", group: "map", keys: ["arrowdown"] },
  { id: "map.in", title: "Closer", group: "map", keys: ["+", "="] },
  { id: "map.out", title: "Farther", group: "map", keys: ["-"] },
  { id: "map.all", title: "Whole map", group: "map", keys: ["digit0", "home"] },
  { id: "map.by", title: "Colour by the next", group: "map", keys: ["c"] },
  { id: "map.grid", title: "Chosen faces to Grid", group: "map", keys: ["enter"] },
  { id: "map.sql", title: "Chosen faces to SQL", group: "map", keys: ["q"] },
  { id: "map.clear", title: "Choose none", group: "map", keys: ["escape"] },
];

const byId = new Map(ACTIONS.map((action) => [action.id, action]));

export function action(id: string): Action {
  const found = byId.get(id);
  if (!found) throw new Error(`no action ${id}`);
  return found;
}

const RANKS: Record<Caller["role"], number> = { reader: 0, annotator: 1, admin: 2 };

/** Whether somebody of this role may do an act. */
export function may(role: Caller["role"], id: string): boolean {
  return RANKS[role] >= RANKS[action(id).needs ?? "reader"];
}

/** Groups whose keys may be live at the same time, so that one key cannot stand for two acts of them. */
export function meet(one: Group, other: Group): boolean {
  if (one === other || one === "everywhere" || other === "everywhere") return true;
  const judged: Group[] = ["label", "grid", "review"];
  if (one === "judging") return judged.includes(other);
  if (other === "judging") return judged.includes(one);
  return (one === "charts" && other === "rounds") || (one === "rounds" && other === "charts");
}
