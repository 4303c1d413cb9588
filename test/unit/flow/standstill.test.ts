import { describe, expect, test } from "bun:test";
import { Standstill } from "../../../src/flow/standstill.ts";

/** The seconds at which it is said to stand still, looked at every two for two minutes. */
async function said(
  look: (second: number) => { readonly place: number; readonly held?: boolean; readonly waiting?: boolean },
): Promise<number[]> {
  let second = 0;
  const still = new Standstill(() => second * 1000);
  const found: number[] = [];
  for (; second < 120; second += 2) {
    const { place, held = false, waiting = true } = look(second);
    if (await still.look({ place: String(place), held }, async () => waiting)) found.push(second);
  }
  return found;
}

describe("Standstill", () => {
  test("is told half a minute after the last thing was done, and again", async () => {
    expect(await said(() => ({ place: 7 }))).toEqual([30, 60, 90]);
    expect(await said((second) => ({ place: Math.min(second, 50) }))).toEqual([80, 110]);
  });

  test("is none where something moves, nothing waits, or a limit holds it", async () => {
    expect(await said((second) => ({ place: Math.floor(second / 28) }))).toEqual([]);
    expect(await said(() => ({ place: 7, waiting: false }))).toEqual([]);
    expect(await said(() => ({ place: 7, held: true }))).toEqual([]);
  });

  test("counts from the end of what held it", async () => {
    expect((await said((second) => ({ place: 7, held: second < 40 })))[0]).toBe(68);
  });
});
