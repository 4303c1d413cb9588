import { expect, test } from "bun:test";
import { GhostInterest } from "../../../src/control/ghost_interest.ts";

function setUp() {
  const relinked: string[] = [];
  let now = 0;
  const ghosts = new GhostInterest({
    now: () => now,
    relink: async (peer) => relinked.push(peer),
    log: () => {},
  });
  const after = async (ms: number, peer = "austin", stream = "out_acme") => {
    now += ms;
    await ghosts.refused(stream, peer);
    return relinked.splice(0);
  };
  return { ghosts, after };
}

test("the link of one that is refused is made anew, at most once a minute", async () => {
  const { after } = setUp();
  expect(await after(0)).toEqual(["austin"]);
  expect(await after(0)).toEqual([]);
  expect(await after(1000, "tokyo")).toEqual(["tokyo"]);
  expect(await after(58_000)).toEqual([]);
});

test("where that does not help it is left alone for longer each time, an hour at most", async () => {
  const { after } = setUp();
  await after(0);
  expect(await after(60_000)).toEqual(["austin"]);
  expect(await after(60_000)).toEqual([]);
  expect(await after(60_000)).toEqual(["austin"]);
  for (let i = 0; i < 10; i++) await after(3_600_000);
  expect(await after(3_599_999)).toEqual([]);
  expect(await after(1)).toEqual(["austin"]);
});

test("where it has helped, the next time comes after a minute again; another stream waits for none but that minute", async () => {
  const { ghosts, after } = setUp();
  await after(0);
  await after(60_000);
  expect(await after(59_999, "austin", "view_acme_out")).toEqual([]);
  expect(await after(1, "austin", "view_acme_out")).toEqual(["austin"]);
  // Of another stream it says nothing.
  ghosts.passed("view_acme_out", "austin");
  expect(await after(59_999)).toEqual([]);
  ghosts.passed("out_acme", "austin");
  expect(await after(1)).toEqual(["austin"]);
});
