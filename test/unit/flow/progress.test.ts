import { expect, test } from "bun:test";
import { Progress } from "../../../src/flow/progress.ts";

test("Progress records the last position and tries again after a failure", async () => {
  const recorded: number[] = [];
  let fail = true;
  const errors: unknown[] = [];
  const progress = new Progress(5, {
    delayMs: 1,
    record: async (position) => {
      if (fail) throw new Error("down");
      recorded.push(position);
    },
    onError: (error) => errors.push(error),
  });
  await progress.flush();
  expect(recorded).toEqual([]);
  progress.moved(6);
  progress.moved(9);
  await progress.flush();
  expect(errors).toHaveLength(1);
  fail = false;
  await progress.flush();
  expect(recorded).toEqual([9]);
  progress.stop();
});
