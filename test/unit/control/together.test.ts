import { expect, test } from "bun:test";
import { together } from "../../../src/control/together.ts";

test("together() does each once, a few at a time, and answers in their order", async () => {
  let under = 0;
  let most = 0;
  const results = await together(
    Array.from({ length: 100 }, (_, n) => n),
    async (n) => {
      under++;
      most = Math.max(most, under);
      await new Promise((resolve) => setTimeout(resolve, n % 3));
      under--;
      return n * 2;
    },
  );
  expect(results).toEqual(Array.from({ length: 100 }, (_, n) => n * 2));
  expect(most).toBe(16);
});

test("together() fails with the first that fails, and begins no other", async () => {
  const begun: number[] = [];
  const work = async (n: number) => {
    begun.push(n);
    await Promise.resolve();
    throw new Error(`no ${n}`);
  };
  await expect(
    together(
      Array.from({ length: 100 }, (_, n) => n),
      work,
    ),
  ).rejects.toThrow("no 0");
  expect(begun.length).toBe(16);
});

test("together() that fails begins no other, and leaves none under way", async () => {
  const begun: number[] = [];
  let under = 0;
  const work = async (n: number) => {
    begun.push(n);
    under++;
    for (let turn = 0; turn < n; turn++) await Promise.resolve();
    under--;
    if (n === 3) throw new Error(`no ${n}`);
  };
  await expect(
    together(
      Array.from({ length: 100 }, (_, n) => n),
      work,
    ),
  ).rejects.toThrow("no 3");
  expect(under).toBe(0);
  expect(begun.length).toBeLessThan(24);
});

test("together() of nothing is nothing", async () => {
  expect(await together([], async () => 1)).toEqual([]);
});
