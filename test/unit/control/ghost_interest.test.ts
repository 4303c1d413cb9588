import { expect, test } from "bun:test";
import { GhostInterest } from "../../../src/control/ghost_interest.ts";

function setUp() {
  const relinked: string[] = [];
  let now = 0;
  const server = {
    id: "N1",
    name: "berlin",
    alone: true,
    linked: true,
    silent: false,
    paced: false,
    bound: (_look: number): boolean | null => true,
  };
  let looks = 0;
  const ghosts = new GhostInterest({
    now: () => now,
    relink: async (peer) => {
      if (server.silent) throw new Error("no answer");
      relinked.push(peer);
    },
    linked: async () => server.linked,
    consumer: async () => {
      const bound = server.bound(++looks);
      return bound === null ? null : { bound, paced: server.paced };
    },
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
  expect(await ghosts.left()).toEqual([]);
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
  expect(await ghosts.left()).toMatchObject([found]);
  ghosts.passed("out_acme", "austin");
  expect(await ghosts.left()).toEqual([]);
  await after(120_000, "tokyo");
  expect(await ghosts.left()).toMatchObject([{ peer: "tokyo", at: "berlin" }]);
  server.id = "N2";
  expect(await ghosts.left()).toEqual([]);
});

test("of several servers another one may have it; it is over when nobody listens, or nothing is delivered any more", async () => {
  const { ghosts, after, server } = setUp();
  Object.assign(server, { alone: false, linked: false });
  await after(0);
  server.id = "N2";
  expect(await ghosts.left()).toMatchObject([{ peer: "austin", at: null }]);
  server.bound = () => false;
  expect(await ghosts.left()).toEqual([]);
  server.bound = () => true;
  await after(120_000);
  expect(await ghosts.left()).toHaveLength(1);
  server.bound = () => null;
  expect(await ghosts.left()).toEqual([]);
});

test("with a rate limit a consumer that waits knows of nobody who goes: that nobody is there cannot be told", async () => {
  const { ghosts, after, server } = setUp();
  Object.assign(server, { linked: false, paced: true });
  expect(await after(0)).toEqual(["austin"]);
  expect(await ghosts.left()).toEqual([]);
});

test("a link that could not be cut is cut the next minute", async () => {
  const { after, server } = setUp();
  server.silent = true;
  expect(await after(0)).toEqual([]);
  expect(await after(60_000)).toEqual([]);
  server.silent = false;
  expect(await after(60_000)).toEqual(["austin"]);
});

test("one that stops listening with the link, or a moment later, was not left behind", async () => {
  const { ghosts, after, server } = setUp();
  server.linked = false;
  server.bound = () => false;
  await after(0);
  server.bound = (look) => look < 4;
  await after(60_000, "tokyo");
  expect(await ghosts.left()).toEqual([]);
});
