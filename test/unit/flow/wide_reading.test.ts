import { expect, test } from "bun:test";
import type { ViewPosition } from "../../../src/flow/view_position.ts";
import { startsWide, turnsWide } from "../../../src/flow/wide_reading.ts";

const ONE = ["b.acme.orders.>"];
const TWO = ["b.acme.orders.>", "b.acme.items.>"];
const start = (filters: readonly string[], subjects: number, pending: number, all: number) =>
  startsWide({ filters, subjects, pending, recorded: 10, end: 10 + all, firstSequence: 1 } as ViewPosition);

test("startsWide() reads without filters what is nearly all wanted", () => {
  expect(start(ONE, 10, 9_000, 10_000)).toBe(true);
  expect(start(ONE, 10, 5_000, 10_000)).toBe(false);
  expect(start([], 10, 10_000, 10_000)).toBe(false);
});

test("startsWide() keeps several filters, or one of many subjects, only where they spare much", () => {
  expect(start(TWO, 10, 5_000, 10_000)).toBe(true);
  expect(start(TWO, 10, 1_000, 10_000)).toBe(false);
  expect(start(TWO, 1_700, 1_000, 10_000)).toBe(true);
  expect(start(TWO, 1_700, 100, 10_000)).toBe(false);
  expect(start(ONE, 1_700, 3_000, 10_000)).toBe(true);
});

test("startsWide() takes a half for wanted while it is not known", () => {
  expect(start(TWO, 10, 0, 0)).toBe(true);
  expect(start(ONE, 10, 100, 100)).toBe(false);
});

test("turnsWide() does not go to and fro at any share", () => {
  for (const filters of [ONE, TWO]) {
    for (const subjects of [1, 100, 10_000]) {
      for (let share = 0; share <= 1; share += 0.01) {
        const both =
          turnsWide(true, share, { filters, subjects }) && turnsWide(false, share, { filters, subjects });
        expect(both).toBe(false);
      }
    }
  }
  expect(turnsWide(false, 1, { filters: ONE, subjects: 10 })).toBe(true);
  expect(turnsWide(true, 0.1, { filters: ONE, subjects: 10 })).toBe(true);
  expect(turnsWide(true, 0.1, { filters: TWO, subjects: 1_700 })).toBe(false);
  expect(turnsWide(false, 1, { filters: [], subjects: 10 })).toBe(false);
});
