import { describe, expect, test } from "bun:test";
import { createWorld } from "./cli_support.ts";

describe("peer rotate", () => {
  test("rotates the certificate if nothing else is said, of all links or of the named ones", async () => {
    const world = createWorld();
    await world.run("peer", "rotate");
    await world.run("peer", "rotate", "tokyo", "austin");
    expect(world.api.control.calls).toEqual(["rotate certificate", "rotate certificate tokyo austin"]);
  });

  test("says whom it waits for, and fails then", async () => {
    const world = createWorld();
    const { code, out } = await world.run("peer", "rotate", "--key");
    expect(code).toBe(7);
    expect(out).toContain("site key, since 2026-01-02T03:04:05.000Z: announce");
    expect(out).toMatch(/tokyo +waiting +no link/);
    expect(out).toContain("waits for tokyo: it goes on when they answer, or without them with --finish");
    expect((await world.run("peer", "rotate", "--status")).code).toBe(0);
  });

  test("goes on without a peer, and says what its operator must do", async () => {
    const world = createWorld();
    const { code, out } = await world.run("peer", "rotate", "--finish");
    expect([code, world.api.control.calls]).toEqual([0, ["finish key"]]);
    expect(out).toMatch(/tokyo +skipped +there: leafmesh peer trust berlin --key U/);
    expect((await world.run("peer", "rotate", "--finish", "--site-ca")).code).toBe(4);
  });

  test("takes one kind at a time, and tells of a conflict", async () => {
    const world = createWorld();
    expect((await world.run("peer", "rotate", "--site-ca", "--key")).code).toBe(2);
    expect(world.api.control.calls).toEqual([]);
    expect((await world.run("peer", "rotate", "--site-ca")).code).toBe(5);
  });
});
