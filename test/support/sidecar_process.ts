/** Entry of a sidecar process in tests: `bun sidecar_process.ts <site.yaml>`. */
import process from "node:process";
import { runSidecar } from "../../src/sidecar.ts";

const [siteFile] = process.argv.slice(2);
process.exit(
  await runSidecar({ ...(siteFile === undefined ? {} : { siteFile }), overrides: {}, log: "text" }),
);
