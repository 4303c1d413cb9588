/** A copy of this tree with one safeguard taken out: what the fault machine must find, or it finds nothing. */
import { cp, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type TempFolder, tempFolder } from "../temp_folder.ts";

/** One place of the source and what stands there instead. */
export interface Break {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const PARTS = [
  "src",
  "routes",
  "test/support",
  "test/integration/flow_support.ts",
  "test/integration/flow_worker_process.ts",
  "package.json",
  "tsconfig.json",
];

/** Makes the copy. @throws Error when a place is not in the source any more: the break must be written anew */
export async function brokenBuild(breaks: readonly Break[]): Promise<TempFolder> {
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const folder = await tempFolder();
  for (const part of PARTS) {
    await cp(join(root, part), join(folder.path, part), { recursive: true });
  }
  await symlink(join(root, "node_modules"), join(folder.path, "node_modules"));
  for (const { file, from, to } of breaks) {
    const path = join(folder.path, file);
    const text = await readFile(path, "utf8");
    if (text.split(from).length !== 2) {
      await folder[Symbol.asyncDispose]();
      throw new Error(`${file} does not hold this once: ${from}`);
    }
    await writeFile(
      path,
      text.replace(from, () => to),
    );
  }
  return folder;
}
