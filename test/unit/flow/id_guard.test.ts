import { describe, expect, test } from "bun:test";
import { hashId, IdGuard } from "../../../src/flow/id_guard.ts";

const hash = (id: string) => {
  const bytes = new TextEncoder().encode(id);
  return hashId(bytes, 0, bytes.length);
};

describe("IdGuard", () => {
  const guard = (windowMs: number) => {
    let now = 0;
    const ids = new IdGuard(windowMs, () => now);
    let ordinal = 0;
    return {
      send: (id: string, timeMs: number) => {
        const repeats = ids.repeats(hash(id), timeMs);
        if (!repeats) ids.sent(hash(id), timeMs, ++ordinal);
        return repeats;
      },
      stored: () => ids.stored(ordinal),
      pass: (ms: number) => {
        now += ms;
      },
    };
  };

  test("knows an id again that comes from beyond the origin's window", () => {
    const g = guard(120_000);
    for (let i = 0; i < 1000; i++) expect(g.send(`id-${i}`, 1000 + i)).toBe(false);
    expect(g.send("id-3", 200_000)).toBe(true);
    expect(g.send("id-1000", 200_001)).toBe(false);
    expect(g.send("id-1000", 400_000)).toBe(true);
  });

  test("forgets an id only when its event has been stored for a while", () => {
    const g = guard(100);
    g.send("a", 0);
    for (let i = 0; i < 10; i++) {
      g.pass(300);
      expect(g.send("a", 10_000 + i)).toBe(true);
    }
    g.stored();
    g.pass(300);
    expect(g.send("a", 20_000)).toBe(true);
    g.pass(300);
    expect(g.send("a", 30_000)).toBe(false);
  });

  test("looks at every id where the source has no window", () => {
    const g = guard(0);
    expect(g.send("a", 5)).toBe(false);
    expect(g.send("a", 5)).toBe(true);
    expect(g.send("b", 5)).toBe(false);
  });

  test("stays bounded", () => {
    const g = guard(100);
    for (let i = 0; i < 300_000; i++) g.send(`id-${i}`, i);
    expect(g.send("id-299999", 1_000_000)).toBe(true);
    expect(g.send("id-1", 1_000_000)).toBe(false);
  });
});

test("hashId() tells ids apart", () => {
  const seen = new Set<number>();
  for (let i = 0; i < 200_000; i++) seen.add(hash(`5f3c2a90-7b1d-4c8e-9f10-${i}`));
  expect(seen.size).toBe(200_000);
});
