// The API's answers, as /api/openapi.json describes them.

export type Verdict = "not_a_face" | "unsure" | "skip";
export type Lane = "queue" | "audit" | "grid" | "review";

/** A face to judge; only in lane `queue` the model's word comes with it. */
export interface Task {
  rank: number;
  face_id: string;
  lane: "queue" | "audit" | "review";
  reason: string;
  expression: string | null;
  confidence: number | null;
  margin: number | null;
  round: number | null;
}

export interface Nothing {
  reason: "no_faces" | "all_labelled" | "all_sure" | "with_others" | "judged_before";
  message: string;
  faces?: number;
  retry_after_seconds?: number;
}

export interface Served {
  round: number | null;
  waiting: number;
  with_others: number;
  lease_seconds: number;
  tasks: Task[];
  nothing: Nothing | null;
}

/** What is said about one face: a class or a verdict. */
export interface Judgement {
  face_id: string;
  annotator: string;
  expression?: string;
  verdict?: Verdict;
  lane?: Lane;
  round?: number;
  suggestion?: string;
  seconds?: number;
  note?: string;
}

export interface StoredLabel {
  label_id: string;
  face_id: string;
  expression: string | null;
  verdict: string | null;
}

export interface Prediction {
  round: number;
  expression: string;
  confidence: number;
  margin: number;
  subset: "I" | "II";
  probabilities: number[];
}

export interface GivenLabel {
  label_id: string;
  says: string;
  annotator: string;
  origin: string;
  lane: string;
  note: string | null;
  taken_back: boolean;
}

export interface Story {
  face_id: string;
  format: string;
  width: number;
  height: number;
  stream: string;
  subject: string | null;
  ingested_at: string;
  sightings: { source: string; dataset: string; split: string | null; given_class: string | null }[];
  predictions: Prediction[];
  labels: GivenLabel[];
  /** Whether others said something that is kept back until one has judged the face oneself. */
  kept_back: boolean;
  corpus: { expression: string; origin: string; confidence: number | null; split: string } | null;
  queue: { rank: number; lane: Task["lane"]; reason: string } | null;
  verdict: string;
}

export interface Near {
  face_id: string;
  distance: number;
  label: string | null;
  origin: string | null;
  predicted: string | null;
  confidence: number | null;
}

export interface RoundRow {
  round: number;
  method: string;
  accepted: boolean;
  labelled: number;
  unlabelled: number;
  pool: number;
  scored: number;
  subset_one: number;
  subset_two: number;
  subset_one_share: number | null;
  validation_accuracy: number | null;
  validation_macro_f1: number | null;
  mean_margin: number;
  seconds: number;
  finished_at: string;
  gate: string;
}

export interface Rounds {
  current: number | null;
  unfinished: number | null;
  /** Whether the server trains it now. */
  running: boolean;
  /** Whether it trains at all: `run` does, `serve` does not. */
  trains: boolean;
  rounds: RoundRow[];
  /** Where the next part of the list begins. */
  next: string | null;
}

export type Cell = string | number | boolean | null | Cell[] | { [name: string]: Cell };
export type Row = Record<string, Cell>;

export interface Table<R = Row> {
  columns: { name: string; type: string }[];
  rows: R[];
}

export interface Caller {
  name: string | null;
  role: "reader" | "annotator" | "admin";
  /** Whether a pseudonym stands for every name but one's own. */
  blind: boolean;
}

/** A round's map, a list for each column; the n-th of each is about the same face. */
export interface FaceMap {
  /** None before the first round. */
  round: number | null;
  face_id: string[];
  x: number[];
  y: number[];
  /** What the round's teacher reads; null where it did not score the face. */
  predicted: (string | null)[];
  subset: ("I" | "II" | null)[];
  confidence: (number | null)[];
  /** The face's label now, and whose word it is. */
  label: (string | null)[];
  origin: (string | null)[];
}

/** A face that somebody wants looked at. */
export interface Flag {
  flag_id: string;
  face_id: string;
  annotator: string;
  note: string;
  created_at: string;
  expression?: string | null;
  origin?: string | null;
}

/** A query that is kept under a name, for all who work on the corpus. */
export interface SavedQuery {
  name: string;
  sql: string;
  author: string;
  saved_at: string;
}
