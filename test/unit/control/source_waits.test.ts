import { describe, expect, test } from "bun:test";
import { SourceWaits } from "../../../src/control/source_waits.ts";

const OF = { account: { type: "mesh" }, stream: "in_acme" } as const;
const source = (name: string) => ({ name }) as never;

/** Whether a source may be put in, so many milliseconds after the last. */
function waits(adopted: boolean) {
  let now = 1000;
  const all = new SourceWaits(() => now, adopted);
  const isFree = (name: string, afterMs = 0) => {
    now += afterMs;
    try {
      all.requireFree(OF, source(name));
      return true;
    } catch {
      return false;
    }
  };
  return { all, isFree };
}

describe("a source that is put in", () => {
  test("waits until the server has stopped to wait since it was taken out", () => {
    const { all, isFree } = waits(false);
    expect(isFree("a")).toBe(true);
    all.takenOut(OF, [source("a")]);
    expect([isFree("a"), isFree("b"), isFree("a", 6500), isFree("a", 1000)]).toEqual([
      false,
      true,
      false,
      true,
    ]);
  });

  test("of a server that started a moment ago is free for a while", () => {
    const { all, isFree } = waits(false);
    all.takenOut(OF, [source("a")], 1000);
    expect([isFree("a"), isFree("a", 4000), isFree("a", 4500)]).toEqual([true, false, true]);
  });

  test("at a server that was there before may have been taken out by who is gone", () => {
    const { all, isFree } = waits(true);
    expect(isFree("a")).toBe(false);
    all.takenOut(OF, [source("b")]);
    expect([isFree("a", 6500), isFree("a", 1000)]).toEqual([false, true]);
    all.takenOut(OF, [source("a")]);
    expect(isFree("a")).toBe(false);
  });
});
