import { expect, test } from "bun:test";
import { AskedLease } from "../../../src/flow/write_lease.ts";

test("an answer counts from when it was asked for, and who was stopped in between may not write", () => {
  let now = 0;
  const asked: number[] = [];
  const lease = new AskedLease(
    (at) => asked.push(at),
    () => now,
  );
  const opened: number[] = [];
  lease.onOpen(() => opened.push(now));
  expect(lease.open()).toBe(false);
  lease.ask();
  now = 10;
  lease.answered(0, 1000);
  expect(lease.open()).toBe(true);
  expect(opened).toEqual([10]);
  now = 500;
  lease.ask();
  // The process is stopped here, with the answer on its way.
  now = 60_000;
  expect(lease.open()).toBe(false);
  lease.answered(500, 1000);
  expect(lease.open()).toBe(false);
  expect(asked).toEqual([0, 500]);
  expect(opened).toEqual([10]);
  lease.answered(59_990, 1000);
  expect(lease.open()).toBe(true);
  expect(opened).toEqual([10, 60_000]);
});
