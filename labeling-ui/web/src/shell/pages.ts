// Pages beside Label, fetched on first use.

import type { Component } from "svelte";
import type { PageName } from "./router.svelte.ts";

type Fetch = () => Promise<{ default: Component }>;

const pages: Record<Exclude<PageName, "label">, Fetch> = {
  grid: () => import("../pages/grid/Grid.svelte"),
  review: () => import("../pages/soon/Soon.svelte"),
  rounds: () => import("../pages/rounds/Rounds.svelte"),
  corpus: () => import("../pages/soon/Soon.svelte"),
  sql: () => import("../pages/soon/Soon.svelte"),
  map: () => import("../pages/soon/Soon.svelte"),
  face: () => import("../pages/soon/Soon.svelte"),
};

export async function fetchPage(name: Exclude<PageName, "label">): Promise<Component> {
  return (await pages[name]()).default;
}
