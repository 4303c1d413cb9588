/**
 * Holds the layers: who may import whom, the length of files, no focused tests.
 * Run by `bun run lint`; Biome sees one file at a time, so the arrows live here, in one table.
 */
import { posix } from "node:path";

/** What a part may import: `values` of these parts, and of `types` only what the compiler erases. */
interface Arrows {
  readonly values: readonly string[];
  readonly types?: readonly string[];
}

const ARROWS: Readonly<Record<string, Arrows>> = {
  model: { values: [] },
  policy: { values: ["model"] },
  nats: { values: ["model"] },
  control: { values: ["model", "policy", "nats"] },
  flow: { values: ["model", "policy", "nats"] },
  observe: { values: ["model", "nats"] },
  runtime: { values: [] },
  routes: { values: ["model"], types: ["policy", "nats", "control", "flow", "observe"] },
  cli: { values: ["model", "runtime", "cli/up.ts"], types: ["routes"] },
  "cli/up.ts": { values: ["model", "runtime", "sidecar.ts"], types: ["routes"] },
  "sidecar.ts": { values: ["sidecar"] },
  sidecar: { values: ["model", "policy", "nats", "control", "flow", "observe", "runtime", "routes"] },
};
const MAX_LINES = 400;
const IMPORT =
  /\b(?:import|export)\b\s*(type\b(?!\s*from))?([^;"'`()=]*?)\bfrom\s*["'](\.[^"']+)["']|\bimport\s*\(?\s*["'](\.[^"']+)["']/g;

/** A finding: `error` fails the lint, `warning` is only told. */
export interface Finding {
  readonly type: "error" | "warning";
  readonly text: string;
}

/** The part a file belongs to (`src/policy/x.ts` → `policy`); `null` where anything may be imported. */
function partOf(path: string): string | null {
  const [top, ...rest] = path.split("/");
  if (top === "routes") return "routes";
  if (top !== "src") return null;
  const inside = rest.join("/");
  return inside in ARROWS ? inside : (rest[0] ?? null);
}

const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " ")).replace(/^\s*\/\/.*$/gm, "");

function isTypeOnly(keyword: string | undefined, clause: string): boolean {
  if (keyword !== undefined) return true;
  const names = /^\s*\{([\s\S]*)\}\s*$/
    .exec(clause)?.[1]
    ?.split(",")
    .map((name) => name.trim());
  return names?.every((name) => name === "" || name.startsWith("type ")) ?? false;
}

function lintImports(path: string, text: string): Finding[] {
  const from = partOf(path);
  if (from === null) return [];
  const arrows = ARROWS[from];
  if (arrows === undefined) return [{ type: "error", text: `${path}: '${from}' is no part of the layout` }];
  const list = (parts: readonly string[]): string =>
    parts.length === 0 ? "nothing of ours" : parts.join(", ");
  const types = arrows.types === undefined ? "" : `, and types of ${list(arrows.types)}`;
  const findings: Finding[] = [];
  for (const [, keyword, clause, target, bare] of withoutComments(text).matchAll(IMPORT)) {
    const file = posix.join(posix.dirname(path), target ?? bare ?? "");
    const to = partOf(file);
    if (to === from || (to !== null && to === from.split("/")[0])) continue;
    const typeOnly = bare === undefined && isTypeOnly(keyword, clause ?? "");
    if (to !== null && (arrows.values.includes(to) || (typeOnly && arrows.types?.includes(to)))) continue;
    findings.push({
      type: "error",
      text: `${path} imports ${typeOnly ? "a type of " : ""}${file}: ${from} may import ${list(arrows.values)}${types}`,
    });
  }
  return findings;
}

/** Every breach in the given files: path from the project's folder → text. */
export function lintLayers(files: ReadonlyMap<string, string>): Finding[] {
  const findings: Finding[] = [];
  for (const [path, text] of files) {
    findings.push(...lintImports(path, text));
    const lines = text.split("\n").length - 1;
    if (/^(src|routes)\//.test(path) && lines > MAX_LINES) {
      findings.push({
        type: "warning",
        text: `${path} has ${lines} lines: above ${MAX_LINES} there are two files in it`,
      });
    }
    if (/^test\//.test(path) && /\b(?:test|it|describe)\.only\b/.test(withoutComments(text))) {
      findings.push({ type: "error", text: `${path} has a focused test (.only): the others would not run` });
    }
  }
  return findings;
}

if (import.meta.main) {
  const root = posix.join(import.meta.dir, "..");
  const files = new Map<string, string>();
  for (const path of new Bun.Glob("{src,routes,test,scripts}/**/*.ts").scanSync(root)) {
    files.set(path, await Bun.file(`${root}/${path}`).text());
  }
  const findings = lintLayers(files);
  for (const { type, text } of findings) console.error(`${type}: ${text}`);
  const errors = findings.filter(({ type }) => type === "error").length;
  console.error(`Layers: ${files.size} files, ${errors} errors, ${findings.length - errors} warnings`);
  if (errors > 0) process.exitCode = 1;
}
