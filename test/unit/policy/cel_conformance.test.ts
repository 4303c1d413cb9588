import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { compilePredicate } from "../../../src/policy/predicate.ts";
import {
  FURTHER_CASES,
  notClaimed,
  runAllOurs,
  sectionTable,
  unclaimedTable,
} from "../../support/cel_report.ts";
import { celCases } from "../../support/cel_suite.ts";

const shown = ({ one, ours }: ReturnType<typeof runAllOurs>[number]) => ({
  section: one.section,
  name: one.name,
  expr: one.expr,
  ours: ours.type === "error" ? ours.error : String(ours.value.type),
});

test("every case of the specification is there", () => {
  expect(celCases().length).toBe(2344);
});

test("no case of the specification has another result as a condition", () => {
  expect(
    runAllOurs()
      .filter(({ verdict }) => verdict === "wrong")
      .map(shown),
  ).toEqual([]);
});

test("all cases of what is claimed pass", () => {
  const claimed = runAllOurs().filter(({ one }) => notClaimed(one) === null);
  expect(claimed.length).toBe(762);
  expect(
    claimed.filter(({ verdict }) => verdict !== "pass" && verdict !== "not comparable").map(shown),
  ).toEqual([]);
});

test("docs/cel.md shows the cases as they are", async () => {
  const text = await readFile(new URL("../../../docs/cel.md", import.meta.url), "utf8");
  expect(text).toContain(sectionTable());
  expect(text).toContain(unclaimedTable());
});

test.each(FURTHER_CASES)("%s on %s", (expr, data, right) => {
  const result = compilePredicate(expr).evaluate({
    subject: "acme.orders.new",
    headers: new Uint8Array(0),
    data: new TextEncoder().encode(data),
    origin: "berlin",
    timeMs: Date.UTC(2026, 0, 2),
    sequence: 1,
  });
  expect(result.type === "value" ? result.value : null).toBe(right);
});
