import { expect, test } from "bun:test";
import { Fifo } from "../../../src/flow/fifo.ts";

test("Fifo gives items back in their order, however many come and go", () => {
  const queue = new Fifo<number>();
  let put = 0;
  let taken = 0;
  for (let round = 0; round < 200; round++) {
    for (let i = 0; i < 100 - (round % 3); i++) queue.push(put++);
    expect(queue.last).toBe(put - 1);
    for (let i = 0; i < 60 + (round % 5); i++) expect(queue.shift()).toBe(taken++);
    expect(queue.length).toBe(put - taken);
  }
  while (queue.length > 0) expect(queue.shift()).toBe(taken++);
  expect(taken).toBe(put);
  expect([queue.shift(), queue.last, queue.length]).toEqual([undefined, undefined, 0]);
  queue.push(7);
  expect([queue.shift(), queue.length]).toEqual([7, 0]);
});

test("Fifo forgets what it is told to", () => {
  const queue = new Fifo<string>();
  for (const item of "abc") queue.push(item);
  queue.shift();
  queue.clear();
  expect([queue.length, queue.last, queue.shift()]).toEqual([0, undefined, undefined]);
});
