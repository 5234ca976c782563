// The one place that sends requests. Every failure becomes one of two things: the server's own word (Problem), or none
// at all (Unreachable). Nothing above needs to know of status codes.

/** The server answered, and said no. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly retryAfterSeconds: number | null,
  ) {
    super(detail);
    this.name = "Problem";
  }

  /** Whether the same request may well succeed later. */
  get isPassing(): boolean {
    return this.status === 429 || this.status >= 500;
  }
}

/** Nobody answered. */
export class Unreachable extends Error {
  constructor() {
    super("The server does not answer.");
    this.name = "Unreachable";
  }
}

/** Why something failed, for whoever asked for it: the server's own word, or else that there was none. */
export function reasonOf(error: unknown, unanswered = "The server does not answer."): string {
  return error instanceof Problem ? error.detail : unanswered;
}

export interface Asking {
  body?: unknown;
  idempotencyKey?: string;
  accept?: string;
  signal?: AbortSignal;
  /** Bytes of the answer that are read at most. */
  most?: number;
}

/** Called where a login has ended; the shell shows the page for a new one. */
let loginOver: () => void = () => undefined;

export function whenLoginIsOver(tell: () => void): void {
  loginOver = tell;
}

/** Sends a request, and reads the answer as JSON. */
export async function ask<T>(method: string, path: string, asking: Asking = {}): Promise<T> {
  const answer = await send(method, path, asking);
  if (answer.status === 204) return undefined as T;
  try {
    return (asking.most ? JSON.parse(await bounded(answer, asking.most)) : await answer.json()) as T;
  } catch (error) {
    if (isAbort(error) || error instanceof Problem) throw error;
    // The answer broke off.
    throw new Unreachable();
  }
}

/** Sends a request, and gives the answer's bytes. */
export async function askBytes(method: string, path: string, asking: Asking = {}): Promise<Blob> {
  return (await send(method, path, asking)).blob();
}

/** The answer's text, unless it is longer than anybody can look at. */
async function bounded(answer: Response, most: number): Promise<string> {
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    text += part.value;
    if (text.length <= most) continue;
    await reader?.cancel();
    const megabytes = Math.round(most / 1e6);
    const detail = `The answer is larger than ${megabytes} MB, too much for a page. Add a LIMIT, or take it as Arrow.`;
    throw new Problem(200, "too_large_here", detail, null);
  }
  return text;
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

async function send(method: string, path: string, asking: Asking): Promise<Response> {
  const headers = new Headers();
  const init: RequestInit = { method, headers, credentials: "same-origin" };
  if (asking.body !== undefined) {
    headers.set("Content-Type", "application/json");
    init.body = JSON.stringify(asking.body);
  }
  if (asking.idempotencyKey) headers.set("Idempotency-Key", asking.idempotencyKey);
  if (asking.accept) headers.set("Accept", asking.accept);
  if (asking.signal) init.signal = asking.signal;
  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Unreachable();
  }
  if (answer.ok) return answer;
  throw await problem(answer);
}

async function problem(answer: Response): Promise<Problem | Unreachable> {
  const isOurs = answer.headers.get("Content-Type")?.startsWith("application/problem+json");
  // A proxy between us that finds no server answers in its own words.
  if (!isOurs && answer.status >= 500) return new Unreachable();
  if (answer.status === 401) loginOver();
  const retry = Number(answer.headers.get("Retry-After"));
  const said = await answer.json().catch(() => ({}));
  const { code, detail } = said as { code?: string; detail?: string };
  return new Problem(
    answer.status,
    code ?? "unknown",
    detail ?? `The server answered with ${answer.status}.`,
    retry > 0 ? retry : null,
  );
}
