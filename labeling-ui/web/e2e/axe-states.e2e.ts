// States of pages that nobody meets every day, narrow and light, wide and dark, through axe: dialogs, two rounds side
// by side, a face that is checked blind, the time without a server, the login, and a corpus without faces. A round
// under way is looked at in rounds.e2e.ts, where one runs.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { foundOfBoth } from "./axe.ts";
import { command, faceInView, kept, skipTo, World } from "./world.ts";

/** What pages say that have asked the server in vain, by the key that leads to them. */
const AWAY = [
  ["g", "The faces did not come"],
  ["r", "The cases did not come"],
  ["o", "The rounds did not come"],
  ["c", "Corpus"],
] as const;

describe("with faces and rounds", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.make();
  });
  afterAll(() => world.end());

  it("finds nothing on dialogs", async () => {
    const { page, bad } = await world.open("dia", "label");
    await faceInView(page);
    const dialogs: { title: string; open: () => Promise<void> }[] = [
      { title: "Flag face", open: () => page.keyboard.press("b") },
      { title: "Which class?", open: () => page.keyboard.press(";") },
      { title: "Who judges here?", open: () => command(page, "Change your name") },
      { title: "Change the keys", open: () => command(page, "Change the keys") },
    ];
    for (const { title, open } of dialogs) {
      await open();
      await page.getByRole("dialog", { name: title }).waitFor();
      expect(await foundOfBoth(page), title).toEqual([]);
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
    }
    await page.keyboard.press("g");
    await page.keyboard.press("q");
    await page.getByRole("textbox", { name: "SQL" }).waitFor({ timeout: 60_000 });
    await page.keyboard.press("Control+s");
    await page.getByRole("dialog", { name: "Save the query" }).waitFor();
    expect(await foundOfBoth(page), "Save the query").toEqual([]);
    expect(bad).toEqual([]);
    await page.context().close();
  });

  it("finds nothing on two rounds side by side and on a face that is checked blind", async () => {
    const { page, bad } = await world.open("bli", "rounds/2?with=1");
    await page.getByRole("row", { name: "Change" }).waitFor({ timeout: 60_000 });
    await page.locator("figure svg[role=img]").first().waitFor({ timeout: 60_000 });
    expect(await foundOfBoth(page), "two rounds").toEqual([]);
    await page.keyboard.press("g");
    await page.keyboard.press("l");
    await skipTo(page, "Checked blind");
    await page.getByText("Checked blind: judge it without the model.").waitFor();
    expect(await foundOfBoth(page), "checked blind").toEqual([]);
    expect(bad).toEqual([]);
    await page.context().close();
  });

  it("finds nothing while the server is away", async () => {
    const { page } = await world.open("off", "label");
    await faceInView(page);
    await kept(page);
    // A page that was here before is there without the server too.
    for (const [key] of AWAY) {
      await page.keyboard.press("g");
      await page.keyboard.press(key);
      await page.locator("main h1").waitFor({ timeout: 60_000 });
      await page.waitForLoadState("networkidle").catch(() => undefined);
    }
    await page.keyboard.press("g");
    await page.keyboard.press("l");
    await faceInView(page);
    await world.kill();
    await page.keyboard.press("2");
    await page.getByText("Offline, 1 waiting").waitFor({ timeout: 60_000 });
    expect(await foundOfBoth(page), "label").toEqual([]);
    for (const [key, title] of [...AWAY, ["m", "This page is not here yet"]] as const) {
      await page.keyboard.press("g");
      await page.keyboard.press(key);
      await page.getByRole("heading", { name: title }).waitFor({ timeout: 60_000 });
      expect(await foundOfBoth(page), title).toEqual([]);
    }
    await page.context().close();
  });
});

describe("with a login, and without faces", () => {
  let world: World;
  let token = "";
  beforeAll(async () => {
    world = await World.make({ isOpenToOthers: true, isEmpty: true });
    token = world.token("axe", "annotator");
  });
  afterAll(() => world.end());

  const EMPTY: { route: string; title: string }[] = [
    { route: "label", title: "No faces yet" },
    { route: "grid", title: "No round has run" },
    { route: "review", title: "Nobody disagrees" },
    { route: "review?of=doubts", title: "No label is in doubt" },
    { route: "rounds", title: "No round has run" },
    { route: "corpus", title: "No faces yet" },
    { route: "map", title: "No round has run" },
    { route: "sql", title: "SQL" },
  ];

  it("finds nothing on the login and on empty pages, which say what comes next", async () => {
    const { page, bad } = await world.open("axe", "label");
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.getByLabel("Your token").fill("mrg_nobody");
    await page.keyboard.press("Enter");
    await page.getByText("Nobody has this token").waitFor();
    expect(await foundOfBoth(page), "login").toEqual([]);
    await page.getByLabel("Your token").fill(token);
    await page.keyboard.press("Enter");
    for (const { route, title } of EMPTY) {
      await page.goto(`${world.url}#/${route}`);
      await page.getByRole("heading", { name: title }).waitFor({ timeout: 60_000 });
      expect(await foundOfBoth(page), route).toEqual([]);
    }
    expect(bad).toEqual([]);
    await page.context().close();
  });
});
