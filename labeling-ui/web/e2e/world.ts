// What a check needs: the real server on a corpus of its own, with the page that is part of it, and a browser.

import { spawn, execFileSync, type ChildProcess } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

export class World {
  private constructor(
    readonly corpus: string,
    private readonly port: number,
    readonly browser: Browser,
    private readonly command: "serve" | "run",
  ) {}
  private server: ChildProcess | null = null;

  static async make(command: "serve" | "run" = "serve"): Promise<World> {
    const corpus = mkdtempSync(join(tmpdir(), "marginalia-e2e-"));
    cpSync(process.env["MARGINALIA_E2E_CORPUS"] ?? "", corpus, { recursive: true });
    const port = await freePort();
    const executablePath =
      process.env["CHROMIUM"] ?? execFileSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" }).trim();
    const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS });
    const world = new World(corpus, port, browser, command);
    await world.start();
    return world;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  /** Starts the server, and waits until it answers. */
  async start(): Promise<void> {
    const binary = process.env["MARGINALIA_BIN"] ?? "";
    const args = ["--corpus", this.corpus, this.command, "--addr", `127.0.0.1:${this.port}`];
    this.server = spawn(binary, args, { stdio: "ignore" });
    for (let tries = 0; tries < 300; tries += 1) {
      const answer = await fetch(`http://127.0.0.1:${this.port}/readyz`).catch(() => null);
      if (answer?.ok) return;
      await new Promise((go) => setTimeout(go, 100));
    }
    throw new Error("the server does not start");
  }

  /** Ends the server without a word, as a power cut would. */
  async kill(): Promise<void> {
    const server = this.server;
    if (!server || server.exitCode !== null) return;
    const gone = new Promise((go) => server.once("exit", go));
    server.kill("SIGKILL");
    await gone;
  }

  async sql<R>(query: string): Promise<R[]> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/api/sql`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ query }),
    });
    if (!answer.ok) throw new Error(await answer.text());
    return ((await answer.json()) as { rows: R[] }).rows;
  }

  /** Opens a page as somebody who has been here before. Violations of the policy and errors are collected. */
  async open(
    annotator: string,
    route = "",
    options: BrowserContextOptions = {},
  ): Promise<{ page: Page; bad: string[] }> {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    await context.addInitScript((name) => {
      localStorage.setItem("marginalia.annotator", JSON.stringify(name));
      localStorage.setItem("marginalia.toured", "true");
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
      });
    }, annotator);
    const page = await context.newPage();
    const bad: string[] = [];
    page.on("pageerror", (error) => bad.push(error.message));
    page.on("console", (message) => {
      if (message.text().startsWith("policy:")) bad.push(message.text());
    });
    await page.goto(`${this.url}#/${route}`);
    return { page, bad };
  }

  async end(): Promise<void> {
    await this.browser.close();
    await this.kill();
    rmSync(this.corpus, { recursive: true, force: true });
  }
}

/** Waits until a face is in view and painted. */
export async function faceInView(page: Page): Promise<string> {
  const face = page.locator(".stage img");
  await face.waitFor();
  await page.evaluate(() => new Promise((go) => requestAnimationFrame(() => setTimeout(go, 30))));
  return (await face.getAttribute("src")) ?? "";
}
