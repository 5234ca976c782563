// What a check needs: the real server on a corpus of its own, with the page that is part of it, and a browser.

import { execFile, execFileSync, spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";
import { preview, type PreviewServer } from "vite";
import { apiOf, CONTENT_SECURITY_POLICY } from "../vite.config.ts";

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

const program = process.env["MARGINALIA_BIN"] ?? "";

export interface Setting {
  /** The server's own command. */
  command?: "serve" | "run";
  /** Whether it listens beyond loopback, where everybody needs a token. */
  isOpenToOthers?: boolean;
  /** Whether the corpus has nothing in it, rather than a copy of everybody's. */
  isEmpty?: boolean;
  /** Settings of the corpus that are other than in the one that is copied, as TOML has them. */
  config?: Record<string, string>;
}

export function configure(corpus: string, config: Record<string, string>): void {
  const file = join(corpus, "marginalia.toml");
  let text = readFileSync(file, "utf8");
  for (const [key, value] of Object.entries(config)) {
    const line = new RegExp(`^#?${key} = .*$`, "m");
    if (!line.test(text)) throw new Error(`marginalia.toml has no ${key}`);
    text = text.replace(line, `${key} = ${value}`);
  }
  writeFileSync(file, text);
}

export class World {
  private constructor(
    readonly corpus: string,
    private readonly port: number,
    readonly browser: Browser,
    private readonly setting: Setting,
  ) {}
  private server: ChildProcess | null = null;
  /** The page as it was just built, where that is looked at instead of the one in the program. */
  private page: PreviewServer | null = null;
  /** The check's own token. */
  private bearer: string | null = null;

  static async make(setting: Setting = {}): Promise<World> {
    const corpus = mkdtempSync(join(tmpdir(), "marginalia-e2e-"));
    if (setting.isEmpty) execFileSync(program, ["init", corpus], { stdio: "ignore" });
    else cpSync(process.env["MARGINALIA_E2E_CORPUS"] ?? "", corpus, { recursive: true });
    configure(corpus, setting.config ?? {});
    const port = await freePort();
    const executablePath =
      process.env["CHROMIUM"] ?? execFileSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" }).trim();
    const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS });
    const world = new World(corpus, port, browser, setting);
    if (setting.isOpenToOthers) world.bearer = world.token("check", "admin");
    await world.start();
    if (process.env["MARGINALIA_E2E_PAGE"] === "dist") await world.serveDist();
    return world;
  }

  private get api(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get url(): string {
    return this.page?.resolvedUrls?.local[0] ?? `${this.api}/`;
  }

  private async serveDist(): Promise<void> {
    const port = await freePort();
    const headers = { "Content-Security-Policy": CONTENT_SECURITY_POLICY };
    const proxy = { "/api": apiOf(this.api) };
    const options = { port, strictPort: true, host: "127.0.0.1", headers, proxy };
    this.page = await preview({ configFile: false, logLevel: "silent", preview: options });
  }

  /** Makes a token, and gives it. */
  token(name: string, role: "reader" | "annotator" | "admin"): string {
    return this.tokens("create", name, "--role", role).trim();
  }

  revoke(name: string): void {
    this.tokens("revoke", name);
  }

  private tokens(...args: string[]): string {
    const stdio = ["ignore", "pipe", "ignore"] as const;
    return execFileSync(program, ["--corpus", this.corpus, "token", ...args], { encoding: "utf8", stdio: [...stdio] });
  }

  /** Runs a command of the program on the corpus, beside the server; gives what it printed. */
  async command(...args: string[]): Promise<string> {
    const options = { encoding: "utf8", maxBuffer: 64e6 } as const;
    return (await promisify(execFile)(program, ["--corpus", this.corpus, ...args], options)).stdout;
  }

  /** Starts the server, and waits until it answers. */
  async start(): Promise<void> {
    const { command = "serve", isOpenToOthers = false } = this.setting;
    const host = isOpenToOthers ? "0.0.0.0" : "127.0.0.1";
    const args = ["--corpus", this.corpus, command, "--addr", `${host}:${this.port}`];
    this.server = spawn(program, args, { stdio: "ignore" });
    for (let tries = 0; tries < 300; tries += 1) {
      const answer = await fetch(`${this.api}/readyz`).catch(() => null);
      if (answer?.ok) return;
      await new Promise((go) => setTimeout(go, 100));
    }
    throw new Error("the server does not start");
  }

  /** Ends the server without a word, as a power cut would. */
  async kill(): Promise<void> {
    const server = this.server;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const gone = new Promise((go) => server.once("exit", go));
    server.kill("SIGKILL");
    await gone;
  }

  /** Asks the server past the page. */
  async ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const headers: Record<string, string> = { "Content-Type": "application/json" };
    if (this.bearer) headers["Authorization"] = `Bearer ${this.bearer}`;
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(`${this.api}${path}`, { method, headers, ...sent });
    if (!answer.ok) throw new Error(await answer.text());
    return (answer.status === 204 ? undefined : await answer.json()) as T;
  }

  /** Sends a picture in, with what is said of it; gives its face's id. */
  async upload(picture: Blob, about: { name: string; stream: string }): Promise<string> {
    const answer = await fetch(`${this.api}/api/faces?${new URLSearchParams(about)}`, {
      method: "POST",
      body: picture,
    });
    if (!answer.ok) throw new Error(await answer.text());
    return ((await answer.json()) as { face_id: string }).face_id;
  }

  async sql<R>(query: string): Promise<R[]> {
    return (await this.ask<{ rows: R[] }>("POST", "/api/sql", { query })).rows;
  }

  /** Opens a page as somebody who has been here before, or as a newcomer without a name. Violations of the policy and
   * errors are collected, and so is every dialog of the browser: the page has its own. */
  async open(
    annotator: string | null,
    route = "",
    options: BrowserContextOptions = {},
  ): Promise<{ page: Page; bad: string[] }> {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    await context.addInitScript((name) => {
      if (name !== null) {
        localStorage.setItem("marginalia.annotator", JSON.stringify(name));
        localStorage.setItem("marginalia.toured", "true");
      }
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
      });
    }, annotator);
    const page = await context.newPage();
    const bad: string[] = [];
    page.on("pageerror", (error) => bad.push(error.message));
    page.on("dialog", (dialog) => {
      bad.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("console", (message) => {
      if (message.text().startsWith("policy:")) bad.push(message.text());
    });
    await page.goto(`${this.url}#/${route}`);
    return { page, bad };
  }

  async end(): Promise<void> {
    await this.browser.close();
    await this.page?.close();
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

/** Waits until this browser keeps the page, so that it needs no server. */
export async function kept(page: Page): Promise<void> {
  await page.waitForFunction(
    async () => (await navigator.serviceWorker.getRegistration())?.active?.state === "activated",
  );
}

/** Waits until another face than that one is in view, or none; says whether it came to that. */
export async function isPast(page: Page, face: string, timeout?: number): Promise<boolean> {
  const options = timeout === undefined ? {} : { timeout };
  return page
    .waitForFunction((src) => document.querySelector(".stage img")?.getAttribute("src") !== src, face, options)
    .then(
      () => true,
      (error: unknown) => {
        if (timeout === undefined) throw error;
        return false;
      },
    );
}

/** Skips faces until the page says these words of one; gives that one. */
export async function skipTo(page: Page, words: string): Promise<string> {
  for (let tries = 0; tries < 60; tries += 1) {
    const face = await faceInView(page);
    if (await page.getByText(words, { exact: true }).count()) return face;
    await page.keyboard.press("s");
    await isPast(page, face);
  }
  throw new Error(`no face of sixty is "${words}"`);
}

/** Takes an act by its name. */
export async function command(page: Page, name: string): Promise<void> {
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Find a command" }).fill(name);
  await page.keyboard.press("Enter");
}

/** A picture as PNG, 48 pixels wide and high: a drawing, or that of a face, encoded anew, so that nobody has seen these
 * very bytes. */
export async function png(page: Page, faceId?: string): Promise<Blob> {
  const bytes = await page.evaluate(
    async (address) => {
      const canvas = new OffscreenCanvas(48, 48);
      const context = canvas.getContext("2d");
      if (address) context?.drawImage(await createImageBitmap(await (await fetch(address)).blob()), 0, 0);
      else for (let n = 0; n < 48; n += 1) context?.fillRect((7 * n) % 48, (5 * n) % 48, n % 9, n % 7);
      const blob = await canvas.convertToBlob({ type: "image/png" });
      return [...new Uint8Array(await blob.arrayBuffer())];
    },
    faceId && `/api/faces/${faceId}/image`,
  );
  return new Blob([new Uint8Array(bytes)], { type: "image/png" });
}

/** The id of a face, out of its picture's address. */
export function idOf(face: string): string {
  return /\/faces\/(\w+)\/image/.exec(face)?.[1] ?? "";
}
