/** What the built scanner was built from. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dirname, "../../src/policy/redact/wasm");

/** SHA-256 of the scanner's sources, in hexadecimal. */
export function scannerSource(): string {
  const hash = createHash("sha256");
  for (const file of readdirSync(folder).sort()) {
    hash.update(`${file}\n`).update(readFileSync(join(folder, file)));
  }
  return hash.digest("hex");
}
