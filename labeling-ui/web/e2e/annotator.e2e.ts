// An annotator by script: three hundred faces by the keys, as fast as the page lets them through, while the server is
// killed twice and comes back. What the page shows as done stands in the corpus, every answer once. It says something
// only where nothing else runs.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { faceInView, idOf, isPast, World } from "./world.ts";

const FACES = 300;
/** Faces after which the server is killed, and for how long it is away, in milliseconds. */
const KILLED_AFTER = [100, 200];
const AWAY = 2000;
/** Faces an hour. */
const LEAST = 3600;

describe.runIf(process.env["MARGINALIA_E2E_SPEED"])("an annotator by script", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.make();
  });
  afterAll(() => world.end());

  async function outage(): Promise<void> {
    await new Promise((go) => setTimeout(go, AWAY));
    await world.start();
  }

  it("labels 300 faces over two outages, loses none and doubles none", { timeout: 600_000 }, async () => {
    const classes = (await world.sql<{ expression: string }>("select expression from classes order by position")).map(
      ({ expression }) => expression,
    );
    const { page, bad } = await world.open("ivy");
    page.setDefaultTimeout(60_000);
    await faceInView(page);
    const said: { face_id: string; expression: string | undefined }[] = [];
    let back = Promise.resolve();
    const began = performance.now();
    for (let n = 0; n < FACES; n += 1) {
      if (KILLED_AFTER.includes(n)) {
        await back;
        await world.kill();
        back = outage();
      }
      const face = await faceInView(page);
      const place = n % Math.min(9, classes.length);
      // A key that comes before the page counts its face as seen does nothing: it is pressed again, as people do.
      do await page.keyboard.press(String(place + 1));
      while (!(await isPast(page, face, 2000)));
      said.push({ face_id: idOf(face), expression: classes[place] });
    }
    const seconds = (performance.now() - began) / 1000;
    await back;
    await page.getByText("All saved").waitFor();
    await expect.poll(() => page.locator("footer b").first().innerText()).toBe(String(FACES));

    // Everything that anybody stored in this name, taken back or not.
    const query = "select face_id, expression from labels where annotator = 'ivy' order by face_id";
    await expect.poll(async () => (await world.sql(query)).length, { timeout: 30_000 }).toBe(FACES);
    const stored = JSON.parse(await world.command("sql", query, "--format", "json")) as typeof said;
    expect(stored).toEqual(said.toSorted((a, b) => (a.face_id < b.face_id ? -1 : 1)));
    expect(new Set(stored.map(({ face_id }) => face_id)).size).toBe(FACES);

    const rate = (3600 * FACES) / seconds;
    const kills = `the server killed ${KILLED_AFTER.length} times`;
    console.log(`${FACES} faces in ${seconds.toFixed(1)} s, ${kills}: ${Math.round(rate)} an hour`);
    expect(rate).toBeGreaterThanOrEqual(LEAST);
    expect(bad).toEqual([]);
    await page.context().close();
  });
});
