// A corpus with two rounds, made once for all checks; each file works on a copy of its own. Its faces are FER2013's
// where MARGINALIA_DATA has them; else they are drawn, and always where MARGINALIA_E2E_DEMO says how many.

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { tmpdir } from "node:os";
import { configure } from "./world.ts";

const WORKSPACE = resolve("../..");
/** Some 2,500 of its faces. */
const SOME = /\/Training_1[0-7]/;
/** As small as the rounds of `demo`. */
const CONFIG = {
  backbone: '"resnet-tiny"',
  epochs_per_round: "4",
  steps_per_epoch: "60",
  audit_share: "0.1",
  gate_macro_f1_loss: "0.1",
};

export default function setup(): void {
  const binary = process.env["MARGINALIA_BIN"];
  if (!binary) throw new Error("MARGINALIA_BIN names the program to check against");
  if (!existsSync("dist/index.html")) throw new Error("run `npm run build` first");
  const demo = process.env["MARGINALIA_E2E_DEMO"];
  const archive = demo ? null : fer2013();
  const corpus =
    process.env["MARGINALIA_E2E_CORPUS"] ?? join(tmpdir(), `marginalia-e2e-${archive ? "fer2013" : "drawn"}`);
  process.env["MARGINALIA_E2E_CORPUS"] = corpus;
  if (existsSync(corpus)) return;
  // Under its own name only once it is whole.
  const begun = `${corpus}-begun`;
  rmSync(begun, { recursive: true, force: true });
  const run = (...args: string[]) => execFileSync(binary, ["--corpus", begun, ...args], { stdio: "inherit" });
  if (archive) real(begun, archive, run);
  else run("demo", ...(demo ?? "--faces 1500 --rounds 2 --labels 150").split(" "));
  renameSync(begun, corpus);
}

/** Where the faces of FER2013 are. */
function fer2013(): string | null {
  const named = process.env["MARGINALIA_DATA"];
  const archive = join(resolve(WORKSPACE, named ?? "../shared/data"), "fer2013-train.tar");
  if (existsSync(archive)) return archive;
  if (named) throw new Error(`MARGINALIA_DATA has no ${archive}`);
  return null;
}

/** Labels come before each round: those of the second are of faces that the first has read. */
function real(corpus: string, archive: string, run: (...args: string[]) => void): void {
  const faces = mkdtempSync(join(tmpdir(), "marginalia-fer2013-"));
  try {
    const names = execFileSync("tar", ["-tf", archive], { encoding: "utf8" }).split("\n");
    const input = names.filter((name) => SOME.test(name)).join("\n");
    execFileSync("tar", ["-xf", archive, "-C", faces, "-T", "-"], { input });
    run("init", corpus);
    configure(corpus, CONFIG);
    for (const labels of ["400", "600"]) {
      run("import", "fer2013", faces, "--hold-out", "validation:20%", "--labels", labels);
      run("train");
    }
  } finally {
    rmSync(faces, { recursive: true, force: true });
  }
}
