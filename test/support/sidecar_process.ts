/** Entry of a sidecar process in tests: `bun sidecar_process.ts <site.yaml>`. It ends when its standard input does. */
import process from "node:process";
import { runSidecar } from "../../src/sidecar.ts";
import { endWithParent } from "./with_parent.ts";

const [siteFile] = process.argv.slice(2);
endWithParent();
void runSidecar({ ...(siteFile === undefined ? {} : { siteFile }), overrides: {}, log: "text" }).then(
  (code) => process.exit(code),
);
