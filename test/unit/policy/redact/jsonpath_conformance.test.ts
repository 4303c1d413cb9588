import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { compileRedactor } from "../../../../src/policy/redact/mod.ts";
import { parsePath } from "../../../../src/policy/redact/path.ts";
import { Workspace } from "../../../../src/policy/redact/workspace.ts";
import { expectedNodes, type PathCase, pathCases, pathTable } from "../../../support/jsonpath_suite.ts";
import { select, type Tree, write } from "./reference.ts";

const workspace = new Workspace();

const cases = pathCases();
const valid = cases.filter((one) => !one.invalid_selector);
const claimed = valid.filter((one) => parsePath(one.selector).type === "ok");
const REPLACED = "what a path has selected";

/** A document with the nodes at these places replaced. */
function replaceAt(document: unknown, places: readonly (readonly (string | number)[])[]): unknown {
  if (places.some((place) => place.length === 0)) return REPLACED;
  if (typeof document !== "object" || document === null) return document;
  const child = (name: string | number, value: unknown) =>
    replaceAt(
      value,
      places.filter(([first]) => first === name).map((place) => place.slice(1)),
    );
  return Array.isArray(document)
    ? document.map((value, index) => child(index, value))
    : Object.fromEntries(Object.entries(document).map(([name, value]) => [name, child(name, value)]));
}

/** A document as the slow reference reads it, and where each node stands. */
function treeOf(document: unknown, at: string, places: Map<Tree, string>): Tree {
  const place = (tree: Tree): Tree => {
    places.set(tree, at);
    return tree;
  };
  if (Array.isArray(document)) {
    const elements = document.map((value, index) => treeOf(value, `${at}/${index}`, places));
    return place({ type: "array", elements });
  }
  if (typeof document === "object" && document !== null) {
    const members = Object.entries(document).map(([name, value]) => ({
      name: write(name, 0),
      value: treeOf(value, `${at}/'${name}'`, places),
    }));
    return place({ type: "object", members });
  }
  if (typeof document === "string") return place({ type: "string", text: write(document, 0) });
  return place({ type: "other", raw: JSON.stringify(document) });
}

const named = (list: readonly PathCase[]) => list.map((one) => [one.name, one.selector, one] as const);

test("the suite is there", () => {
  expect(cases.length).toBeGreaterThan(600);
  expect(claimed.length).toBeGreaterThan(100);
});

test.each(named(cases.filter((one) => one.invalid_selector)))("%s: %j is refused", (_, selector) => {
  expect(parsePath(selector).type).toBe("invalid");
});

test.each(named(claimed))("%s: %j selects what it should", (_, selector, one) => {
  const nodes = expectedNodes(one);
  // The reference, node by node; and the redactor, for which the outermost counts.
  const places = new Map<Tree, string>();
  const selected = select(treeOf(one.document, "", places), selector);
  const wanted = nodes.map((place) =>
    place.map((part) => (typeof part === "number" ? `/${part}` : `/'${part}'`)).join(""),
  );
  expect([...selected].map((node) => places.get(node) ?? "").toSorted()).toEqual(
    [...new Set(wanted)].toSorted(),
  );
  const redactor = compileRedactor([{ path: selector, with: "replace", value: REPLACED }], { workspace });
  const result = redactor.apply(new TextEncoder().encode(JSON.stringify(one.document)));
  if (result.type === "failed") throw new Error(result.error);
  expect(JSON.parse(new TextDecoder().decode(result.data))).toEqual(replaceAt(one.document, nodes));
});

test("docs/jsonpath.md shows the cases as they are", () => {
  const text = readFileSync(new URL("../../../../docs/jsonpath.md", import.meta.url), "utf8");
  expect(text).toContain(pathTable(cases));
});
