import { describe, expect, test } from "bun:test";
import { Ledger, newFlowCounts, OUTCOME } from "../../../src/flow/ledger.ts";

describe("Ledger", () => {
  test("advances over what is dealt with, in order, and counts it once", () => {
    const ledger = new Ledger(8, 10);
    const counts = newFlowCounts();
    ledger.push(11, OUTCOME.denied, 0, 0);
    ledger.push(12, OUTCOME.forwarded, 1, 2);
    const letter = ledger.push(14, OUTCOME.quarantined, "waiting", 0);
    ledger.push(15, OUTCOME.forwarded, 2, 0);
    ledger.push(16, OUTCOME.noRule, 0, 0);

    ledger.advance(0, counts);
    expect(ledger.position).toBe(11);
    ledger.advance(2, counts);
    expect(ledger.position).toBe(12);
    ledger.settle(letter);
    ledger.advance(2, counts);
    expect(ledger.position).toBe(16);
    expect(ledger.size).toBe(0);
    expect(ledger.advance(2, counts)).toBe(0);
    expect(counts).toEqual({
      forwarded: 2,
      redacted: 1,
      redactedValues: 2,
      denied: 1,
      noRule: 1,
      quarantined: 1,
      redriven: 0,
      limited: 0,
      deferredMs: 0,
      reasons: {},
    });
  });

  test("is full at its capacity and goes round", () => {
    const ledger = new Ledger(4, 0);
    const counts = newFlowCounts();
    for (let i = 1; i <= 100; i++) {
      ledger.push(i, OUTCOME.forwarded, i, 0);
      if (ledger.full) {
        ledger.advance(i - 1, counts);
        expect(ledger.position).toBe(i - 1);
      }
    }
    expect(ledger.advance(100, counts)).toBeGreaterThan(0);
    expect(counts.forwarded).toBe(100);
  });
});
