import { expect, test } from "bun:test";
import { Readiness, type ReadinessFacts } from "../../../src/control/readiness.ts";

const GOOD: ReadinessFacts = {
  server: null,
  applied: true,
  failures: [],
  views: new Map(),
  converged: true,
  unproved: async () => [],
};

test("reasons() names the server, the state, and what failed", async () => {
  const readiness = new Readiness(() => 0);
  const facts = { ...GOOD, server: "stalled", applied: false, failures: ["create stream: timeout"] };
  expect(await readiness.reasons(facts)).toEqual([
    "nats-server: stalled",
    "the state has not been applied yet",
    "create stream: timeout",
  ]);
  expect(await readiness.reasons(GOOD)).toEqual([]);
});

test("reasons() waits for each view to run once, not for one that starts again", async () => {
  const readiness = new Readiness(() => 0);
  const views = (state: string) => ({ ...GOOD, views: new Map([["acme/out", state]]) });
  expect(await readiness.reasons(views("starting"))).toEqual(["view acme/out is starting"]);
  expect(await readiness.reasons(views("running"))).toEqual([]);
  expect(await readiness.reasons(views("starting"))).toEqual([]);
});

test("reasons() waits for peers that are linked, and for no longer than five seconds", async () => {
  let now = 100;
  const readiness = new Readiness(() => now);
  const silent = { ...GOOD, converged: false, unproved: async () => ["tokyo"] };
  expect(await readiness.reasons(silent)).toEqual(["tokyo has not proved its key yet"]);
  expect(await readiness.reasons({ ...GOOD, converged: false })).toEqual([
    "routes wait for what their peers say",
  ]);
  now += 5000;
  expect(await readiness.reasons(silent)).toEqual([]);
});

test("reasons() takes routes that were proved once for proved", async () => {
  const readiness = new Readiness(() => 0);
  expect(await readiness.reasons(GOOD)).toEqual([]);
  const failing = async () => Promise.reject(new Error("nobody asks"));
  expect(await readiness.reasons({ ...GOOD, converged: false, unproved: failing })).toEqual([]);
});
