import { expect, test } from "bun:test";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { whenServed } from "../../../src/sidecar/served.ts";

test("whenServed() tries again while the server does not answer, and says so once", async () => {
  let tries = 0;
  const said: string[] = [];
  const work = async () => {
    tries++;
    if (tries < 4) throw new Error("timeout");
    return "done";
  };
  expect(await whenServed(work, { log: (text) => said.push(text), pauseMs: 1 })).toBe("done");
  expect(tries).toBe(4);
  expect(said).toEqual(["the server does not serve the start, which tries again: timeout"]);
});

test("whenServed() gives up where trying again does not help, when it is late, and when the start is given up", async () => {
  const failing = (error: Error) => async () => Promise.reject(error);
  const log = () => {};
  const invalid = new LeafmeshError("policy_invalid", "no such field");
  await expect(whenServed(failing(invalid), { log })).rejects.toBe(invalid);
  const late = new Error("timeout");
  await expect(whenServed(failing(late), { log, deadlineMs: 0, pauseMs: 1 })).rejects.toBe(late);
  await expect(whenServed(failing(late), { log, signal: AbortSignal.abort() })).rejects.toBe(late);
});
