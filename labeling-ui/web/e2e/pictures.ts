// Pictures of every page for the documents, in both themes and three widths, and of what is not seen every day: drawn
// faces only.

import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { faceInView, isPast, skipTo, World } from "./world.ts";

const FOLDER = process.env["MARGINALIA_PICTURES"] ?? "../../docs/images";
/** Pages and states that are taken, where it is not all of them. */
const ONLY = process.env["MARGINALIA_PICTURES_OF"]?.split(",");
/** Bytes of all of them together. */
const MOST = 3_000_000;
/** Windows; the narrow one is a phone, which is touched. A large picture takes less care. */
const SIZES: { options: BrowserContextOptions & { viewport: { width: number; height: number } }; quality: number }[] = [
  { options: { viewport: { width: 1280, height: 800 } }, quality: 82 },
  { options: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }, quality: 82 },
  { options: { viewport: { width: 2560, height: 1440 } }, quality: 66 },
];
const THEMES = ["light", "dark"] as const;

let world: World;
const ids: Record<string, string> = {};

beforeAll(async () => {
  mkdirSync(FOLDER, { recursive: true });
  for (const name of readdirSync(FOLDER)) if (!ONLY && name.endsWith(".webp")) rmSync(`${FOLDER}/${name}`);
  // Rounds can be started here, and none begins by itself; one that does lasts long enough to be looked at.
  const config = { trigger_new_faces: "0", trigger_new_labels: "0", epochs_per_round: "6", steps_per_epoch: "300" };
  world = await World.make({ command: "run", config });
  await people();
});
afterAll(() => world.end());

/** Two people who mostly agree, so that there is something to settle, flags, and queries that are shared. */
async function people(): Promise<void> {
  const faces = await world.sql<{ face_id: string; says: string }>(
    `select face_id, min(expression) as says from current_labels where expression is not null
     group by face_id order by face_id limit 120`,
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
  const told = await world.sql<{ face_id: string }>(
    `select face_id from (select face_id, count(*) as n from predictions group by face_id)
     where n > 2 and face_id in (select face_id from current_labels) order by n desc, face_id limit 1`,
  );
  ids["face"] = (told[0] ?? faces[0])?.face_id ?? "";
}

interface Shown {
  name: string;
  route: () => string;
  ready: string;
  then?: (page: Page) => Promise<unknown>;
  /** Whether all of it is shown, however long it is. */
  isWhole?: boolean;
}

const BALANCE = "select expression, human, simulated, pseudo, total\nfrom class_balance\norder by total desc";
const PAGES: Shown[] = [
  { name: "label", route: () => "label", ready: ".stage img", then: judge },
  { name: "grid", route: () => "grid?class=happiness", ready: ".cell" },
  { name: "rounds", route: () => "rounds", ready: "figure svg[role=img]", isWhole: true },
  { name: "map", route: () => "map", ready: "canvas", then: lasso },
  { name: "review", route: () => "review", ready: ".case" },
  { name: "corpus", route: () => "corpus", ready: "figure svg[role=img]", isWhole: true },
  { name: "sql", route: () => `sql?${new URLSearchParams({ q: BALANCE })}`, ready: "table" },
  { name: "face", route: () => `face/${ids["face"]}`, ready: ".right section" },
];

/** Judges six faces or some more, until one is in view that is worth being looked at, with a suggestion. */
async function judge(page: Page): Promise<void> {
  for (let n = 0; n < 30; n += 1) {
    const face = await faceInView(page);
    const isSuggested = (await page.locator(".keys .chosen").count()) > 0;
    if (n >= 6 && isSuggested && (await isClear(page))) return;
    // As fast as somebody who looks.
    await page.waitForTimeout(1200);
    await page.keyboard.press(isSuggested ? "Enter" : "1");
    await isPast(page, face);
  }
}

/** Whether the face in view is neither dark nor blurred: by its mean, and by how much pixels differ from those beside
 * them. */
const isClear = (page: Page) =>
  page.evaluate(() => {
    const side = 48;
    const context = new OffscreenCanvas(side, side).getContext("2d");
    const image = document.querySelector<HTMLImageElement>(".stage img");
    if (!context || !image) return false;
    context.drawImage(image, 0, 0, side, side);
    const { data } = context.getImageData(0, 0, side, side);
    const grey = (n: number) => ((data[4 * n] ?? 0) + (data[4 * n + 1] ?? 0) + (data[4 * n + 2] ?? 0)) / 3;
    let [mean, steps] = [0, 0];
    for (let n = 0; n < side * side; n += 1) {
      mean += grey(n) / (side * side);
      if (n % side < side - 1) steps += Math.abs(grey(n) - grey(n + 1)) / (side * side);
    }
    return mean > 85 && steps > 7;
  });

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

/** Takes what is there once it has come to rest. */
async function picture(page: Page, file: string, quality: number, isWhole = false): Promise<void> {
  await page.waitForLoadState("networkidle", { timeout: 4000 }).catch(() => undefined);
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  const isHere = () => [...document.images].every((image) => image.complete);
  await page.waitForFunction(isHere, null, { timeout: 20_000 });
  await page.waitForTimeout(800);
  const session = await page.context().newCDPSession(page);
  const { cssContentSize } = await session.send("Page.getLayoutMetrics");
  const clip = { clip: { ...cssContentSize, scale: 1 }, captureBeyondViewport: true };
  const shot = { format: "webp", quality, ...(isWhole ? clip : {}) } as const;
  const { data } = await session.send("Page.captureScreenshot", shot);
  writeFileSync(`${FOLDER}/${file}.webp`, Buffer.from(data, "base64"));
}

const wanted = (name: string) => !ONLY || ONLY.includes(name);

it("takes every page", async () => {
  for (const { options, quality } of SIZES)
    for (const { name, route, ready, then, isWhole } of PAGES.filter(({ name }) => wanted(name)))
      for (const colorScheme of THEMES) {
        const { page, bad } = await world.open("ada", route(), { ...options, colorScheme, reducedMotion: "reduce" });
        await page.locator(ready).first().waitFor({ timeout: 60_000 });
        await page.waitForTimeout(1200);
        await then?.(page);
        await picture(page, `${name}-${options.viewport.width}-${colorScheme}`, quality, isWhole);
        expect(bad).toEqual([]);
        await page.context().close();
      }
});

/** Takes what `show` leads to, in both themes; `before` is what happens once both pages are open. */
async function state(
  on: World,
  name: string,
  route: string,
  show: (page: Page) => Promise<unknown>,
  before: () => Promise<unknown> = () => Promise.resolve(),
): Promise<void> {
  if (!wanted(name)) return;
  const opened = [];
  for (const colorScheme of THEMES)
    opened.push({ colorScheme, ...(await on.open("ada", route, { colorScheme, reducedMotion: "reduce" })) });
  await before();
  for (const { page, bad, colorScheme } of opened) {
    await show(page);
    await picture(page, `${name}-1280-${colorScheme}`, 82);
    expect(bad).toEqual([]);
    await page.context().close();
  }
}

it("takes a blind check and the tour", async () => {
  await state(world, "audit", "label", (page) => skipTo(page, "Checked blind"));
  await state(world, "tour", "label", async (page) => {
    await faceInView(page);
    await page.keyboard.press("Control+k");
    await page.keyboard.type("tour");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
  });
});

it("takes the login, and a corpus without faces", async () => {
  for (const [name, setting, heading] of [
    ["login", { isOpenToOthers: true }, "Sign in"],
    ["empty", { isEmpty: true }, "No faces yet"],
  ] as const) {
    if (!wanted(name)) continue;
    const on = await World.make(setting);
    await state(on, name, "label", (page) => page.getByRole("heading", { name: heading }).waitFor());
    await on.end();
  }
});

it("takes a round under way, and what is left without a server", async () => {
  const isFar = (page: Page) => page.getByText(/^Epoch [4-6] of 6/).waitFor({ timeout: 800_000 });
  await state(world, "running", "rounds", isFar, () => world.ask("POST", "/api/rounds"));
  const label = async (page: Page) => {
    for (let n = 0; n < 4; n += 1) {
      const face = await faceInView(page);
      await page.keyboard.press("2");
      await isPast(page, face);
    }
    await page.getByText("Offline, 4 waiting").waitFor({ timeout: 60_000 });
  };
  await state(world, "offline", "label", label, async () => {
    // The faces ahead are here by then.
    await new Promise((go) => setTimeout(go, 4000));
    await world.kill();
  });
});

it("keeps all of them small", () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".webp"));
  const bytes = files.reduce((sum, name) => sum + statSync(`${FOLDER}/${name}`).size, 0);
  console.log(`${files.length} pictures, ${(bytes / 1e6).toFixed(2)} MB`);
  expect(bytes).toBeLessThanOrEqual(MOST);
});
