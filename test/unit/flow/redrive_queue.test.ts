import { expect, test } from "bun:test";
import { type RedriveLetter, RedriveQueue } from "../../../src/flow/redrive_queue.ts";

test("a letter that waits for a limit says when it is due, until it is taken", () => {
  const queue = new RedriveQueue();
  expect(queue.dueInMs).toBeNull();
  void queue.add({} as RedriveLetter, false);
  expect([queue.waiting, queue.dueInMs]).toEqual([true, null]);
  const item = queue.take();
  if (item === undefined) throw new Error("It is gone");
  queue.putBack(item, 60_000);
  expect(queue.waiting).toBe(false);
  expect(queue.dueInMs).toBeGreaterThan(50_000);
  queue.take();
  expect(queue.dueInMs).toBeNull();
});
