import { describe, expect, test } from "bun:test";
import { newFlowCounts, OUTCOME } from "../../../src/flow/ledger.ts";
import { StoredLetters } from "../../../src/flow/stored_letters.ts";
import { ViewLetters } from "../../../src/flow/view_letters.ts";

const at = (sequence: number, timeMs = sequence * 1000) => ({ sequence, timeMs });
const found = (...places: { sequence: number; timeMs: number }[]) =>
  new StoredLetters(places, { epoch: "a", stream: "s", upTo: 9, position: 0, subjects: "" });

describe("StoredLetters", () => {
  test("has() knows an event by its sequence and time", () => {
    const letters = found(at(3), at(5), at(5, 70_000), at(8));
    expect([3, 4, 5, 6, 8, 9].filter((sequence) => letters.has(at(sequence)))).toEqual([3, 5, 8]);
    expect(letters.has(at(5, 70_001))).toBe(true);
    expect(letters.has(at(5, 60_000))).toBe(false);
    expect(letters.after(3)).toEqual([at(5), at(5, 70_000), at(8)]);
    expect(letters.after(8)).toEqual([]);
    expect(found().has(at(1))).toBe(false);
  });
});

describe("ViewLetters", () => {
  test("counts each letter of this worker once, also one of which the server did not come to say that it is stored", () => {
    const letters = new ViewLetters();
    const counts = newFlowCounts();
    letters.written(2, "payload_not_json");
    letters.written(3, "payload_not_json");
    letters.written(4, "schema_invalid");
    letters.counted(2, counts);
    expect(counts.reasons).toEqual({ payload_not_json: 1 });
    // The session ends; the next one finds the letter of 3, one of an earlier worker, and none of 4.
    letters.begin(found(at(3), at(6)));
    expect(letters.outcomeOf(at(3))).toBe(OUTCOME.quarantined);
    expect(letters.outcomeOf(at(4))).toBe(null);
    expect(letters.outcomeOf(at(6))).toBe(OUTCOME.known);
    letters.counted(6, counts);
    expect(counts.reasons).toEqual({ payload_not_json: 2 });
  });

  test("isAhead() is said of letters of this life of the source alone", () => {
    const letters = new ViewLetters();
    letters.begin(found(at(5)));
    expect(letters.isAhead(at(5), "a", 4)).toBe(true);
    expect(letters.isAhead(at(5), "a", 5)).toBe(false);
    expect(letters.isAhead(at(5), "b", 4)).toBe(false);
    expect(letters.isAhead(at(7), "a", 4)).toBe(false);
  });
});
