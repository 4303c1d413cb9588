import { describe, expect, test } from "bun:test";
import { MAX_CLOCK_SKEW_MS, MAX_REQUEST_BYTES, RequestGuard } from "../../../src/control/request_guard.ts";

const START = 1_800_000_000_000;

function guardAt(start = START) {
  /** `ahead`: how far the clock is from the time. */
  const clock = { now: start, ahead: 0 };
  const guard = () =>
    new RequestGuard(
      () => clock.now + clock.ahead,
      () => clock.now - start,
    );
  return { clock, guard: guard(), another: guard };
}
const nonce = (n: number) => `nonce-${String(n).padStart(16, "0")}`;

describe("RequestGuard", () => {
  test("takes a request once", () => {
    const { guard } = guardAt();
    expect(guard.fresh("tokyo", { at: START, nonce: nonce(1) })).toBeNull();
    expect(guard.fresh("tokyo", { at: START, nonce: nonce(1) })).toContain("answered already");
    // Another peer chooses its own.
    expect(guard.fresh("austin", { at: START, nonce: nonce(1) })).toBeNull();
  });

  test("takes none of a clock that is too far off, and says so", () => {
    const { guard, clock } = guardAt();
    clock.now += 10 * MAX_CLOCK_SKEW_MS;
    const ahead = guard.fresh("tokyo", { at: clock.now + MAX_CLOCK_SKEW_MS + 1000, nonce: nonce(1) });
    expect(ahead).toContain("the clock of tokyo is 121 s ahead of ours");
    const behind = guard.fresh("tokyo", { at: clock.now - MAX_CLOCK_SKEW_MS - 1000, nonce: nonce(2) });
    expect(behind).toContain("121 s behind ours");
    expect(guard.fresh("tokyo", { at: clock.now - MAX_CLOCK_SKEW_MS, nonce: nonce(3) })).toBeNull();
  });

  test("takes none that was signed before it started: it cannot know what was answered then", () => {
    const { guard } = guardAt();
    expect(guard.fresh("tokyo", { at: START - 1, nonce: nonce(1) })).toContain("before this sidecar started");
  });

  test("takes what is new after a start with a clock that was a day ahead, and nothing from before the start", () => {
    const { clock, another } = guardAt();
    clock.ahead = 86_400_000;
    const guard = another();
    clock.now += 1500;
    clock.ahead = 0;
    expect(guard.fresh("tokyo", { at: clock.now, nonce: nonce(1) })).toBeNull();
    expect(guard.fresh("tokyo", { at: clock.now, nonce: nonce(1) })).toContain("answered already");
    expect(guard.fresh("tokyo", { at: START - 1, nonce: nonce(2) })).toContain("before this sidecar started");
  });

  test("goes on taking what is new after the clocks of both were set back", () => {
    const { guard, clock } = guardAt();
    clock.ahead = 86_400_000;
    for (let n = 0; n < 100; n++) {
      clock.now++;
      expect(guard.fresh("tokyo", { at: clock.now + clock.ahead, nonce: nonce(n) })).toBeNull();
    }
    clock.ahead = 0;
    for (let n = 100; n < 10_000; n++) {
      clock.now++;
      expect(guard.fresh("tokyo", { at: clock.now, nonce: nonce(n) })).toBeNull();
    }
    expect(guard.fresh("tokyo", { at: START + 101, nonce: nonce(100) })).not.toBeNull();
  });

  test("remembers a bounded number; what is as old as those that it forgot is refused", () => {
    const { guard, clock } = guardAt();
    for (let n = 0; n < 10_000; n++) {
      clock.now = START + n;
      expect(guard.fresh("tokyo", { at: clock.now, nonce: nonce(n) })).toBeNull();
    }
    for (const n of [0, 1, 3000, 5903, 9999])
      expect(guard.fresh("tokyo", { at: START + n, nonce: nonce(n) })).not.toBeNull();
    expect(guard.fresh("tokyo", { at: clock.now, nonce: nonce(99_999) })).toBeNull();
  });

  test("admits a burst, then so many a second; large ones and dear ones count for more", () => {
    const { guard, clock } = guardAt();
    const admitted = (bytes: number, units?: number) => {
      let count = 0;
      while (guard.admit("tokyo", bytes, units) === "yes") {
        guard.done("tokyo");
        count++;
      }
      return count;
    };
    expect(admitted(100)).toBe(200);
    clock.now += 1000;
    expect(admitted(100)).toBe(50);
    clock.now += 1000;
    expect(admitted(100, 2)).toBe(25);
    clock.now += 1000;
    expect(admitted(64 * 1024)).toBe(10);
    // A clock that is set back gives nothing away.
    clock.now -= 60_000;
    expect(admitted(100)).toBe(0);
    expect(guard.admit("austin", 100)).toBe("yes");
  });

  test("admits so many at once, and none that is too large", () => {
    const { guard } = guardAt();
    for (let n = 0; n < 8; n++) expect(guard.admit("tokyo", 100)).toBe("yes");
    expect(guard.admit("tokyo", 100)).toBe("too_often");
    guard.done("tokyo");
    expect(guard.admit("tokyo", 100)).toBe("yes");
    expect(guard.admit("tokyo", MAX_REQUEST_BYTES + 1)).toBe("too_large");
  });

  test("answers refusals of a kind once a second", () => {
    const { guard, clock } = guardAt();
    expect([guard.mayAnswer("tokyo", "x"), guard.mayAnswer("tokyo", "x")]).toEqual([true, false]);
    expect(guard.mayAnswer("tokyo", "y")).toBe(true);
    clock.now += 1000;
    expect(guard.mayAnswer("tokyo", "x")).toBe(true);
  });
});
