import { expect, test } from "bun:test";
import { Setbacks } from "../../../src/sidecar/spread/setbacks.ts";

test("Setbacks has a member wait longer each time that it was given up, up to a minute, and forgets it", () => {
  let now = 0;
  const setbacks = new Setbacks(() => now);
  expect(setbacks.newMs("b")).toBe(1_000);
  const waits = Array.from({ length: 7 }, () => {
    setbacks.add("b");
    return setbacks.newMs("b");
  });
  expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  expect(setbacks.newMs("c")).toBe(1_000);
  now = 300_000;
  expect(setbacks.newMs("b")).toBe(1_000);
});
