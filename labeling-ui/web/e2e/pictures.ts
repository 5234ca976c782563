// Pictures of every page for the documents: drawn faces, both themes, three widths.

import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { World } from "./world.ts";

const FOLDER = process.env["MARGINALIA_PICTURES"] ?? "../../docs/images";
/** Bytes of all of them together. */
const MOST = 3_000_000;
const SIZES = [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
  { width: 2560, height: 1440 },
];

let world: World;
const ids: Record<string, string> = {};

beforeAll(async () => {
  world = await World.make();
  await people();
});
afterAll(() => world.end());

/** Two people who mostly agree, so that there is something to settle, flags, and queries that are shared. */
async function people(): Promise<void> {
  const faces = await world.sql<{ face_id: string; says: string }>(
    "select face_id, min(expression) as says from current_labels where expression is not null group by face_id order by face_id limit 120",
  );
  const classes = (await world.sql<{ expression: string }>("select expression from classes order by position")).map(
    (row) => row.expression,
  );
  for (const [annotator, step] of [
    ["ada", 9],
    ["bela", 14],
  ] as const) {
    const judged = faces.map(({ face_id, says }, n) => ({
      face_id,
      annotator,
      lane: "review",
      seconds: 1 + (n % 7) / 3,
      expression: n % step === 0 ? classes[(classes.indexOf(says) + 1 + (n % 3)) % classes.length] : says,
    }));
    await world.ask("POST", "/api/labels", judged);
  }
  const notes = [
    "Two faces in one picture",
    "Cut off at the chin; is that fear or surprise?",
    "The same drawing came from two streams",
  ];
  for (const [n, note] of notes.entries()) {
    await world.ask("POST", "/api/flags", {
      face_id: faces[7 * n]?.face_id,
      annotator: n === 1 ? "bela" : "ada",
      note,
    });
  }
  const queries = {
    "audit by class": "select expression, audited, correct, precision\nfrom pseudo_label_audit\nwhere audited > 0",
    "what flipped":
      "select from_expression, to_expression, count(*) as faces\nfrom flips\ngroup by 1, 2\norder by 3 desc",
  };
  for (const [name, sql] of Object.entries(queries))
    await world.ask("PUT", `/api/queries/${encodeURIComponent(name)}`, { sql });
  ids["face"] =
    (
      await world.sql<{ face_id: string }>(
        "select face_id from (select face_id, count(*) as n from predictions group by face_id) where n > 2 and face_id in (select face_id from current_labels) order by n desc, face_id limit 1",
      )
    )[0]?.face_id ??
    faces[0]?.face_id ??
    "";
}

const PAGES: { name: string; route: () => string; ready: string; then?: (page: Page) => Promise<unknown> }[] = [
  { name: "label", route: () => "label", ready: ".stage img" },
  { name: "grid", route: () => "grid?class=happiness", ready: ".cell" },
  { name: "rounds", route: () => "rounds", ready: "figure svg[role=img]" },
  { name: "map", route: () => "map", ready: "canvas", then: lasso },
  { name: "review", route: () => "review", ready: ".case" },
  { name: "corpus", route: () => "corpus", ready: "figure svg[role=img]" },
  {
    name: "sql",
    route: () =>
      `sql?${new URLSearchParams({ q: "select expression, human, simulated, pseudo, total\nfrom class_balance\norder by total desc" })}`,
    ready: "table",
  },
  { name: "face", route: () => `face/${ids["face"]}`, ready: ".right section" },
];

async function lasso(page: Page): Promise<void> {
  const box = await page.locator("canvas").boundingBox();
  if (!box) return;
  await page.keyboard.down("Shift");
  const [x, y, far] = [box.x + box.width * 0.38, box.y + box.height * 0.4, 0.22 * Math.min(box.width, box.height)];
  for (let n = 0; n <= 24; n += 1) {
    const turn = (n / 24) * 2 * Math.PI;
    await page.mouse.move(x + far * Math.cos(turn), y + far * (1 + 0.2 * Math.sin(3 * turn)) * Math.sin(turn));
    if (n === 0) await page.mouse.down();
  }
  await page.mouse.up();
  await page.keyboard.up("Shift");
  await page.mouse.move(4, 4);
}

async function picture(page: Page, file: string): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 82 });
  writeFileSync(`${FOLDER}/${file}.webp`, Buffer.from(data, "base64"));
}

it("takes them", async () => {
  mkdirSync(FOLDER, { recursive: true });
  const only = process.env["MARGINALIA_PICTURES_OF"]?.split(",");
  for (const name of readdirSync(FOLDER)) if (!only && name.endsWith(".webp")) rmSync(`${FOLDER}/${name}`);
  for (const viewport of SIZES)
    for (const { name, route, ready, then } of PAGES.filter((page) => !only || only.includes(page.name)))
      for (const colorScheme of ["light", "dark"] as const) {
        const options = { viewport, colorScheme, reducedMotion: "reduce" } as const;
        const { page, bad } = await world.open("ada", route(), options);
        await page.locator(ready).first().waitFor({ timeout: 60_000 });
        await page.waitForLoadState("networkidle", { timeout: 4000 }).catch(() => undefined);
        await page.waitForTimeout(1200);
        await then?.(page);
        await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
        await page.waitForFunction(() => [...document.images].every((image) => image.complete), null, {
          timeout: 20_000,
        });
        await page.waitForTimeout(500);
        await picture(page, `${name}-${viewport.width}-${colorScheme}`);
        expect(bad).toEqual([]);
        await page.context().close();
      }
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".webp"));
  const bytes = files.reduce((sum, name) => sum + statSync(`${FOLDER}/${name}`).size, 0);
  console.log(`${files.length} pictures, ${(bytes / 1e6).toFixed(2)} MB`);
  expect(bytes).toBeLessThanOrEqual(MOST);
});
