/** Entry of a sidecar under the fault machine: as that of other tests, with a clock that can be set wrong by a file. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { runSidecar } from "../../../src/sidecar.ts";
import { endWithParent } from "../with_parent.ts";

const POLL_MS = 100;
const [siteFile] = process.argv.slice(2);
if (siteFile === undefined) throw new Error("the site file is missing");

const RealDate = Date;
let offsetMs = 0;
globalThis.Date = class extends RealDate {
  constructor(...given: readonly [] | readonly [number | string | Date]) {
    if (given[0] === undefined) super(RealDate.now() + offsetMs);
    else super(given[0]);
  }
  static override now(): number {
    return RealDate.now() + offsetMs;
  }
} as DateConstructor;
const clock = join(dirname(siteFile), "clock");
setInterval(() => {
  try {
    offsetMs = Number(readFileSync(clock, "utf8")) || 0;
  } catch {
    offsetMs = 0;
  }
}, POLL_MS).unref();

endWithParent();
void runSidecar({ siteFile, overrides: {}, log: "text" }).then((code) => process.exit(code));
