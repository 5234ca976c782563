// The stream of events, for as long as the page is open. A browser gives up for good on an answer that is not 200, so
// what has ended is begun anew, later and later, from behind the last event that was read.

export type Listener = (name: string, data: Record<string, unknown>) => void;

const NAMES = [
  "ready",
  "resync",
  "faces",
  "labelled",
  "label_taken_back",
  "changed",
  "round",
  "round_progress",
  "warning",
];
const SHORTEST = 1000;
const LONGEST = 30_000;

export function listen(tell: Listener, opened: (isOpen: boolean) => void): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let pause = SHORTEST;
  let last = "";
  let isOver = false;

  const open = () => {
    const address = last ? `/api/events?${new URLSearchParams({ last_event_id: last })}` : "/api/events";
    source = new EventSource(address);
    source.onopen = () => {
      pause = SHORTEST;
      opened(true);
    };
    source.onerror = () => {
      opened(false);
      if (isOver || source?.readyState !== EventSource.CLOSED) return;
      // Not all pages at once.
      timer = setTimeout(open, pause * (0.75 + Math.random() / 2));
      pause = Math.min(2 * pause, LONGEST);
    };
    for (const name of NAMES) {
      source.addEventListener(name, (event: MessageEvent<string>) => {
        if (event.lastEventId) last = event.lastEventId;
        tell(name, JSON.parse(event.data) as Record<string, unknown>);
      });
    }
  };
  open();
  return () => {
    isOver = true;
    clearTimeout(timer);
    source?.close();
  };
}
