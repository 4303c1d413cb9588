/**
 * The text of a configuration file (YAML 1.2, so JSON too) as values, and the places of those values in the text.
 * What is wrong with the syntax is reported all at once; a file is data, so tags, cycles and alias bombs are refused.
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  visit,
} from "yaml";
import { errorText, formatProblem, LeafmeshError, type Problem } from "./errors.ts";
import { parsePath } from "./problem_path.ts";
import { withoutSecrets } from "./secrets.ts";

const MAX_ALIASES = 200;
const MAX_SYNTAX_PROBLEMS = 20;
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** One document of a file. */
export interface SourceDocument {
  readonly fileName: string;
  /** The plain value; `null` for an empty document. */
  readonly value: unknown;
  /** The nodes of the text that {@link placeOf} walks. */
  readonly nodes: Document.Parsed;
  readonly lines: LineCounter;
}

/** 1-based. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/**
 * Parses every document of a file; none when the file holds nothing but space and comments.
 *
 * @throws LeafmeshError `config_invalid` with all problems of syntax and their places
 */
export function parseSource(text: string, fileName: string): SourceDocument[] {
  if (text.length > MAX_FILE_BYTES) {
    throw invalidFile(fileName, [{ path: "", message: `is larger than ${MAX_FILE_BYTES} characters` }]);
  }
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const documents = "empty" in parsed ? [] : parsed;
  const problems = documents.flatMap((nodes) => syntaxProblems(nodes, text, lines));
  if (problems.length > 0) throw invalidFile(fileName, problems);
  return documents.map((nodes) => ({ fileName, value: plainValue(nodes, fileName), nodes, lines }));
}

/** The error for a file: one line a problem, `file:line:column path: message`. */
export function invalidFile(fileName: string, problems: readonly Problem[]): LeafmeshError {
  const list = problems.map((problem) => `\n  ${formatProblem(problem, fileName)}`).join("");
  return new LeafmeshError("config_invalid", `${fileName} is not valid:${list}`, { problems });
}

/** Where a value stands; of a value that is missing, where what should hold it stands. */
export function placeOf(
  source: SourceDocument,
  path: readonly PropertyKey[],
  at: "value" | "key" = "value",
): Place | null {
  let node: Node | null = source.nodes.contents;
  let found: Node | null = node;
  for (const [index, key] of path.entries()) {
    const last = index === path.length - 1;
    node = resolve(node, source.nodes);
    if (isMap<Node, Node | null>(node)) {
      const pair: Pair<Node, Node | null> | undefined = node.items.find(
        (one) => isScalar(one.key) && one.key.value === String(key),
      );
      if (pair === undefined) break;
      found = (last && at === "key" ? null : pair.value) ?? pair.key;
      node = pair.value;
    } else if (isSeq<Node>(node)) {
      node = node.items[Number(key)] ?? null;
      if (node === null) break;
      found = node;
    } else break;
  }
  const offset = found?.range?.[0];
  return offset === undefined ? null : placeAt(source.lines, offset);
}

/**
 * Gives problems whose paths point into a document their places in its text.
 *
 * @param base path of what the problems' own paths start from, for example `tenants[0]`
 */
export function locateProblems(source: SourceDocument, problems: readonly Problem[], base = ""): Problem[] {
  return problems.map((problem) => {
    const full = joinPaths(base, problem.path);
    const place = problem.line === undefined ? placeOf(source, parsePath(full)) : null;
    return { ...problem, path: full, ...place };
  });
}

function joinPaths(base: string, path: string): string {
  if (base === "" || path === "") return base + path;
  return path.startsWith("[") ? base + path : `${base}.${path}`;
}

function resolve(node: Node | null, nodes: Document.Parsed): Node | null {
  return isAlias(node) ? (node.resolve(nodes) ?? null) : node;
}

function placeAt(lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

function syntaxProblems(nodes: Document.Parsed, text: string, lines: LineCounter): Problem[] {
  const problems: Problem[] = [];
  const add = (offset: number, message: string) =>
    problems.push({ path: "", message: withoutSecrets(message), ...placeAt(lines, offset) });
  const found = [...nodes.errors, ...nodes.warnings];
  const deepest = found.filter((error) => error.code === "RESOURCE_EXHAUSTION").slice(0, 1);
  for (const error of (deepest.length > 0 ? deepest : found).slice(0, MAX_SYNTAX_PROBLEMS)) {
    add(error.pos[0], syntaxMessage(error.code, error.message, text.slice(error.pos[0], error.pos[0] + 100)));
  }
  if (problems.length > 0) return problems;
  visit(nodes, {
    Alias(_, alias, ancestors) {
      const target = alias.resolve(nodes);
      if (target === undefined)
        add(alias.range?.[0] ?? 0, `alias '*${alias.source}' has no anchor before it`);
      else if (ancestors.some((one) => one === target)) {
        add(alias.range?.[0] ?? 0, `alias '*${alias.source}' stands inside what it repeats`);
      }
    },
  });
  return problems;
}

function syntaxMessage(code: string, message: string, rest: string): string {
  if (code === "DUPLICATE_KEY")
    return `key ${/^("[^"]*"|'[^']*'|[^\s:]+)/.exec(rest)?.[0] ?? ""} appears twice in its map`;
  if (code === "TAB_AS_INDENT") return "a tab indents this line: use spaces";
  if (code === "RESOURCE_EXHAUSTION") return "values are nested too deep";
  return `this is no YAML: ${message}`;
}

function plainValue(nodes: Document.Parsed, fileName: string): unknown {
  try {
    return nodes.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (thrown) {
    const reason = thrown instanceof ReferenceError ? "aliases expand to too much" : errorText(thrown);
    throw invalidFile(fileName, [{ path: "", message: withoutSecrets(reason) }]);
  }
}
