// Pages beside Label, fetched on first use.

import type { Component } from "svelte";
import type { PageName } from "./router.svelte.ts";

type Fetch = () => Promise<{ default: Component }>;

const pages: Record<Exclude<PageName, "label">, Fetch> = {
  grid: () => import("../pages/grid/Grid.svelte"),
  review: () => import("../pages/review/Review.svelte"),
  rounds: () => import("../pages/rounds/Rounds.svelte"),
  corpus: () => import("../pages/corpus/Corpus.svelte"),
  sql: () => import("../pages/sql/Sql.svelte"),
  map: () => import("../pages/map/Map.svelte"),
  face: () => import("../pages/face/FacePage.svelte"),
};

export async function fetchPage(name: Exclude<PageName, "label">): Promise<Component> {
  return (await pages[name]()).default;
}
