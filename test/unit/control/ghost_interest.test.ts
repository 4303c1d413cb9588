import { expect, test } from "bun:test";
import { GhostInterest } from "../../../src/control/ghost_interest.ts";

function setUp() {
  const relinked: string[] = [];
  let now = 0;
  const server = { id: "N1", name: "berlin", alone: true, linked: true, bound: (_look: number) => true };
  let looks = 0;
  const ghosts = new GhostInterest({
    now: () => now,
    relink: async (peer) => relinked.push(peer),
    linked: async () => server.linked,
    bound: async () => server.bound(++looks),
    server: () => server,
    log: () => {},
  });
  const after = async (ms: number, peer = "austin", stream = "out_acme") => {
    now += ms;
    await ghosts.refused(stream, peer);
    return relinked.splice(0);
  };
  return { ghosts, after, server };
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

test("who listens while there is no link at all was left behind, until the server starts anew or a RESET is passed on", async () => {
  const { ghosts, after, server } = setUp();
  await after(0);
  expect(ghosts.left).toEqual([]);
  server.linked = false;
  await after(60_000);
  const found = {
    subject: "out_acme to austin",
    target: "out_acme to austin",
    tenant: "acme",
    peer: "austin",
    why: "somebody listens to out_acme to austin while there is no link with austin",
    at: "berlin",
  };
  expect(ghosts.left).toMatchObject([found]);
  ghosts.passed("out_acme", "austin");
  expect(ghosts.left).toEqual([]);
  server.alone = false;
  await after(120_000, "tokyo");
  expect(ghosts.left).toMatchObject([{ peer: "tokyo", at: null }]);
  server.id = "N2";
  expect(ghosts.left).toEqual([]);
});

test("one that stops listening with the link, or a moment later, was not left behind", async () => {
  const { ghosts, after, server } = setUp();
  server.linked = false;
  server.bound = () => false;
  await after(0);
  server.bound = (look) => look < 4;
  await after(60_000, "tokyo");
  expect(ghosts.left).toEqual([]);
});
