/** Compiles the scanner and writes it as a module; see `scripts/build-wasm`. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { scannerSource } from "./source.ts";

const root = join(import.meta.dirname, "../..");
const target = join(root, "src/policy/redact/scan_wasm.ts");
const folder = mkdtempSync(join(tmpdir(), "leafmesh-wasm-"));
const built = join(folder, "scan.wasm");

const compiler = Bun.spawnSync(
  [
    process.execPath,
    join(import.meta.dirname, "node_modules/assemblyscript/bin/asc.js"),
    "src/policy/redact/wasm/scan.ts",
    ...["--outFile", built],
    ...["--optimizeLevel", "3", "--shrinkLevel", "0", "--runtime", "stub", "--noAssert", "--pedantic"],
  ],
  { cwd: root, stdout: "inherit", stderr: "inherit" },
);
if (compiler.exitCode !== 0) process.exit(1);

const wasm = readFileSync(built).toString("base64");
rmSync(folder, { recursive: true });
const text = `/** Written by scripts/build-wasm from wasm/*.ts: do not edit. */

/** SHA-256 of the sources. */
export const SCANNER_SOURCE = "${scannerSource()}";

/** The WebAssembly module, as base64. */
export const SCANNER_WASM =
  "${wasm}";
`;
if (!process.argv.includes("--check")) writeFileSync(target, text);
else if (readFileSync(target, "utf8") !== text) {
  console.error(`${basename(target)} was not built from src/policy/redact/wasm: run scripts/build-wasm`);
  process.exit(1);
}
