import { expect, test } from "bun:test";
import { whenThere } from "../../../src/control/source_repair.ts";
import { LeafmeshError } from "../../../src/model/errors.ts";

/** Work that fails so many times. */
function failing(times: number, error: Error = new Error("timeout")) {
  let tries = 0;
  const work = async () => {
    if (tries++ < times) throw error;
    return tries;
  };
  return { work, tries: () => tries };
}

test("whenThere() does its work again until it succeeds, and says once what kept it", async () => {
  const said: string[] = [];
  const { work } = failing(2);
  expect(await whenThere(work, { log: (_, message) => said.push(message) })).toBe(3);
  expect(said).toEqual(["the server is not there yet: timeout"]);
});

test("whenThere() gives up after a while, but not for one slow try", async () => {
  const { work, tries } = failing(9);
  await expect(whenThere(work, { log: () => {}, giveUpMs: 0 })).rejects.toThrow("timeout");
  expect(tries()).toBe(3);
});

test("whenThere() does nothing again for one who leads no more, or is told to end", async () => {
  const gone = failing(9, new LeafmeshError("no_leader", "This sidecar leads no more"));
  await expect(whenThere(gone.work, { log: () => {} })).rejects.toThrow("leads no more");
  const ended = failing(9);
  await expect(whenThere(ended.work, { log: () => {}, signal: AbortSignal.abort() })).rejects.toThrow(
    "timeout",
  );
  expect([gone.tries(), ended.tries()]).toEqual([1, 1]);
});
