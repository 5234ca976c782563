// A corpus of drawn faces with two rounds, made once for all checks; each file works on a copy of its own.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";

export default function setup(): void {
  const binary = process.env["MARGINALIA_BIN"];
  if (!binary) throw new Error("MARGINALIA_BIN names the program to check against");
  if (!existsSync("dist/index.html")) throw new Error("run `npm run build` first");
  const corpus = process.env["MARGINALIA_E2E_CORPUS"] ?? join(tmpdir(), "marginalia-e2e-corpus");
  process.env["MARGINALIA_E2E_CORPUS"] = corpus;
  if (existsSync(join(corpus, "marginalia.toml"))) return;
  const size = process.env["MARGINALIA_E2E_DEMO"] ?? "--faces 1500 --rounds 2 --labels 150";
  const args = ["--corpus", corpus, "demo", ...size.split(" ")];
  execFileSync(binary, args, { stdio: "inherit" });
}
