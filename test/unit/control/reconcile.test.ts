import { expect, test } from "bun:test";
import type { StateStore } from "../../../src/control/api.ts";
import type { ApplyContext } from "../../../src/control/apply.ts";
import type { Observed } from "../../../src/control/observe.ts";
import { Reconciler, type ReconcilerOptions } from "../../../src/control/reconcile.ts";
import { waitFor } from "../../support/wait_for.ts";

const NOTHING: Observed = { mesh: new Map(), logs: new Map() };

/** A reconciler of a site without tenants, whose server is looked at by `observe`. */
function reconcilerOf(
  observe: () => Promise<Observed>,
  silent: ReconcilerOptions["silent"] = () => [],
): Reconciler {
  const state = { site: "berlin", peers: [], tenants: [] };
  return new Reconciler({
    state: { desired: () => ({ state, revision: 1 }) } as unknown as StateStore,
    context: { site: "berlin", views: { running: () => new Map() } } as unknown as ApplyContext,
    observe,
    peers: () => new Map(),
    configChanges: () => [],
    strangers: async () => [],
    silent,
    stuck: () => [],
    versionOf: () => "",
    log: () => {},
  });
}

test("between() does not wait for a server that does not answer, and the pass is made after it", async () => {
  let looks = 0;
  let answers = false;
  await using reconciler = reconcilerOf(() => {
    looks++;
    return answers ? Promise.resolve(NOTHING) : new Promise(() => {});
  });
  const applied = reconciler.apply();
  await waitFor(() => looks === 1);
  await reconciler.between(async () => {
    answers = true;
  });
  expect((await applied).converged).toBe(true);
  expect(looks).toBe(2);
});

test("apply() that could not look at the server is made again by itself", async () => {
  let looks = 0;
  await using reconciler = reconcilerOf(() =>
    ++looks === 1 ? Promise.reject(new Error("timeout")) : Promise.resolve(NOTHING),
  );
  await expect(reconciler.apply()).rejects.toThrow("timeout");
  expect(reconciler.failures).toEqual(["the state cannot be applied: timeout"]);
  await waitFor(() => reconciler.converged, { deadlineMs: 20_000 });
  expect(reconciler.failures).toEqual([]);
});

test("plan() takes no attempt away from the passes", async () => {
  let attempts = 0;
  const silent = () => {
    attempts++;
    return [];
  };
  await using reconciler = reconcilerOf(async () => NOTHING, silent);
  await reconciler.plan();
  expect(attempts).toBe(0);
  await reconciler.apply();
  expect(attempts).toBe(1);
});
