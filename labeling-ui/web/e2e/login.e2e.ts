// Beyond loopback: tokens, a login that ends in the middle of the work, and two people at one queue.

import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { faceInView, isPast, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.make({ isOpenToOthers: true });
});
afterAll(() => world.end());

async function signIn(page: Page, token: string): Promise<void> {
  await page.getByLabel("Your token").fill(token);
  await page.keyboard.press("Enter");
}

async function answer(page: Page, key: string): Promise<void> {
  const before = await faceInView(page);
  await page.keyboard.press(key);
  await isPast(page, before);
}

const labelsOf = (name: string) =>
  world.sql<{ face_id: string }>(`select face_id from labels where annotator = '${name}' and retracts is null`);

it("asks for a token, takes a good one, and knows whose it is", async () => {
  const token = world.token("ada", "annotator");
  const { page, bad } = await world.open("somebody else");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(page, "mrg_000000000000000000000000000000000000000000000000");
  await page.getByText("Nobody has this token").waitFor();
  await signIn(page, token);
  await answer(page, "2");
  await expect.poll(() => labelsOf("ada"), { timeout: 15_000 }).toHaveLength(1);
  expect(await page.evaluate(() => document.cookie)).toBe("");
  expect(bad).toEqual([]);
  await page.context().close();
});

it("loses nothing where a token is revoked in the middle of the work", async () => {
  const { page, bad } = await world.open("eve");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(page, world.token("eve", "annotator"));
  await answer(page, "1");
  await page.getByText("All saved").waitFor();
  await expect.poll(() => labelsOf("eve"), { timeout: 15_000 }).toHaveLength(1);
  await faceInView(page);
  // It is the answer that hears of it first: what the page asks for by itself waits.
  await page.route(/\/api\/(leases|queue|sql)\b/, () => undefined);
  world.revoke("eve");
  await page.keyboard.press("3");
  await page.getByRole("heading", { name: "Sign in" }).waitFor({ timeout: 30_000 });
  await page.getByText("Logged out, 1 waiting").waitFor();
  expect(await labelsOf("eve")).toHaveLength(1);
  await page.unrouteAll({ behavior: "ignoreErrors" });

  // Also through a reload, and somebody else's login sends nothing in eve's name.
  await page.reload();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(page, world.token("ned", "annotator"));
  await faceInView(page);
  await page.getByText("1 by others waits").waitFor();
  await page.waitForTimeout(1500);
  expect(await labelsOf("eve")).toHaveLength(1);
  await page.context().clearCookies();
  await page.reload();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(page, world.token("eve", "annotator"));
  await expect.poll(() => labelsOf("eve"), { timeout: 30_000 }).toHaveLength(2);
  await page.getByText("All saved").waitFor();
  expect(bad).toEqual([]);
  await page.context().close();
});

it("keeps a login for thirty days, in a cookie that no script has, and loses nothing when it ends", async () => {
  const { page, bad } = await world.open("max");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(page, world.token("max", "annotator"));
  await answer(page, "1");
  await expect.poll(() => labelsOf("max"), { timeout: 15_000 }).toHaveLength(1);
  const [cookie] = await page.context().cookies();
  if (!cookie) throw new Error("there is no cookie");
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict", path: "/", secure: false });
  const days = (cookie.expires - Date.now() / 1000) / 86_400;
  expect(days).toBeGreaterThan(29.9);
  expect(days).toBeLessThanOrEqual(30);

  // The thirty days are over.
  await faceInView(page);
  await page.context().addCookies([{ ...cookie, expires: Math.ceil(Date.now() / 1000) + 1 }]);
  await expect.poll(() => page.context().cookies(), { timeout: 15_000 }).toEqual([]);
  await page.keyboard.press("2");
  await page.getByRole("heading", { name: "Sign in" }).waitFor({ timeout: 30_000 });
  await page.getByText("Logged out, 1 waiting").waitFor();
  await signIn(page, world.token("max2", "annotator"));
  await page.getByText("1 by others waits").waitFor();
  expect(await labelsOf("max")).toHaveLength(1);
  await page.context().addCookies([cookie]);
  await page.reload();
  await expect.poll(() => labelsOf("max"), { timeout: 30_000 }).toHaveLength(2);
  await page.getByText("All saved").waitFor();
  expect(bad).toEqual([]);
  await page.context().close();
});

it("lets a reader look and nothing else", async () => {
  const { page, bad } = await world.open("ray", "label");
  const asked: string[] = [];
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    // To ask in SQL is to look.
    if (pathname === "/api/queue" || (request.method() !== "GET" && pathname !== "/api/sql"))
      asked.push(`${request.method()} ${pathname}`);
  });
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await signIn(page, world.token("ray", "reader"));
  await page.getByRole("heading", { name: "Sign in" }).waitFor({ state: "detached" });
  expect(asked.splice(0)).toEqual(["POST /api/session"]);
  const [face] = await world.sql<{ face_id: string }>("select face_id from current_labels order by face_id limit 1");
  const looks: [route: string, ready: Locator][] = [
    ["label", page.getByRole("heading", { name: "Label" })],
    ["grid", page.locator(".cell").first()],
    ["review", page.getByRole("heading", { name: "Review" })],
    ["rounds", page.locator("figure svg[role=img]").first()],
    ["corpus", page.locator("figure svg[role=img]").first()],
    [`sql?${new URLSearchParams({ q: "select 1 as one" })}`, page.getByText("1 row,")],
    ["map", page.locator("canvas")],
    [`face/${face?.face_id}`, page.getByRole("heading", { name: "Labels" })],
  ];
  const acts =
    /^(Label [a-z]+|Skip|Unsure|Not a face|Add a note|Flag for others|Accept .*|Confirm|Start a round|Save the query)$/;
  const buttons = /^(Confirm .*|Start a round|Skip|Unsure|Not a face|Flag|Note|Save|Looked at)$/;
  for (const [route, ready] of looks) {
    await page.goto(`${world.url}#/${route}`);
    await ready.waitFor({ state: "attached", timeout: 60_000 });
    const offered = page.locator("button:enabled").and(page.getByRole("button", { name: buttons }));
    expect(await offered.allInnerTexts(), route).toEqual([]);
    expect(await page.locator(".keys button:enabled").count(), route).toBe(0);
    for (const key of ["1", "u", "n", "s", "b", "Enter"]) await page.keyboard.press(key);
    await page.keyboard.press("Control+k");
    const listed = await page.getByRole("listbox", { name: "Commands" }).getByRole("option").allInnerTexts();
    expect(listed.length).toBeGreaterThan(5);
    const names = listed.map((text) => text.trim().split("\n")[0] ?? "");
    expect(
      names.filter((name) => acts.test(name)),
      route,
    ).toEqual([]);
    await page.keyboard.press("Escape");
  }
  // Nothing was asked for that is refused, then or behind the page's back.
  await page.goto(`${world.url}#/label`);
  await page.waitForTimeout(6000);
  expect(asked).toEqual([]);
  expect(await world.sql("select 1 as one from labels where annotator = 'ray'")).toEqual([]);
  expect(bad).toEqual([]);
  await page.context().close();
});

it("never gives two people the same face", async () => {
  const people = await Promise.all(
    ["kai", "liv"].map(async (name) => {
      const served = new Set<string>();
      const { page, bad } = await world.open(name);
      page.on("response", (response) => {
        if (!/\/api\/queue\b/.test(response.url()) || !response.ok()) return;
        void response.json().then(({ tasks }: { tasks: { face_id: string }[] }) => {
          for (const task of tasks) served.add(task.face_id);
        });
      });
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      await signIn(page, world.token(name, "annotator"));
      return { name, page, bad, served };
    }),
  );
  await Promise.all(
    people.map(async ({ page }) => {
      for (let n = 0; n < 25; n += 1) await answer(page, String(1 + (n % 7)));
      await page.getByText("All saved").waitFor();
    }),
  );
  const [one, two] = people;
  expect(one?.served.size).toBeGreaterThan(40);
  expect(two?.served.size).toBeGreaterThan(40);
  expect([...(one?.served ?? [])].filter((id) => two?.served.has(id))).toEqual([]);
  await expect.poll(() => labelsOf("kai"), { timeout: 15_000 }).toHaveLength(25);
  await expect.poll(() => labelsOf("liv"), { timeout: 15_000 }).toHaveLength(25);
  for (const { page, bad } of people) {
    expect(bad).toEqual([]);
    await page.context().close();
  }
});
