// Where one is: the fragment of the address, so that the server has one page to give and a kept page can be any of
// them.

export type PageName = "label" | "grid" | "review" | "rounds" | "corpus" | "sql" | "map" | "face";

export const PAGES: readonly { name: PageName; title: string; act: string }[] = [
  { name: "label", title: "Label", act: "go.label" },
  { name: "grid", title: "Grid", act: "go.grid" },
  { name: "review", title: "Review", act: "go.review" },
  { name: "rounds", title: "Rounds", act: "go.rounds" },
  { name: "corpus", title: "Corpus", act: "go.corpus" },
  { name: "sql", title: "SQL", act: "go.sql" },
  { name: "map", title: "Map", act: "go.map" },
];

const NAMES = new Set<string>([...PAGES.map((page) => page.name), "face"]);

export interface Place {
  page: PageName;
  /** What comes behind the page's name: a face's id, a round. */
  rest: string;
  query: URLSearchParams;
}

function read(): Place {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [name = "", ...rest] = path.split("/");
  const page = NAMES.has(name) ? (name as PageName) : "label";
  return { page, rest: rest.join("/"), query: new URLSearchParams(query) };
}

class Router {
  place = $state.raw<Place>(read());

  constructor() {
    addEventListener("hashchange", () => {
      this.place = read();
    });
  }

  go(page: PageName, rest = "", query: Record<string, string> = {}): void {
    location.hash = address(page, rest, query);
  }

  /** Changes the address without a step back for it. */
  settle(page: PageName, rest = "", query: Record<string, string> = {}): void {
    history.replaceState(null, "", address(page, rest, query));
    this.place = read();
  }
}

export function address(page: PageName, rest = "", query: Record<string, string> = {}): string {
  const asked = new URLSearchParams(query).toString();
  return `#/${page}${rest ? `/${rest}` : ""}${asked ? `?${asked}` : ""}`;
}

export const router = new Router();
