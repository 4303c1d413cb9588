/** An import that turns from live to log only: taken out of one stream, and put into the other when it is out. */
import { expect, test } from "bun:test";
import { describeStep } from "../../../src/control/step.ts";
import { berlin, FakeServer, peer } from "./fake_server.ts";

const OFFER = {
  tenant: "acme",
  origin: "austin",
  policy: "out",
  kind: "native" as const,
  stream: "out_acme",
  subjects: ["acme.>"],
};

test("a source is never in both streams of remote events, and is attached after what is stored", () => {
  const state = (live: boolean) =>
    berlin([{ tenant: "acme", log: false, imports: [{ from: "austin", subjects: ["acme.>"], live }] }]);
  const peers = new Map([["austin", peer({ offered: [OFFER] })]]);
  const server = new FakeServer();
  server.apply(state(true), peers);
  const sources = () =>
    ["in_acme", "quiet_acme"].map((name) => server.streams.get(name)?.config.sources?.map((one) => one.name));
  expect(sources()).toEqual([["out_acme"], undefined]);

  server.apply(state(false), peers);
  expect(sources()).toEqual([[], []]);
  const steps = server.apply(state(false), peers).map((step) => describeStep(step).text);
  expect(steps).toContain("attach out_acme of austin to quiet_acme, after what is stored of it");
  expect(sources()).toEqual([[], ["out_acme"]]);
  expect(server.apply(state(false), peers)).toEqual([]);

  server.apply(state(true), peers);
  expect(sources()).toEqual([[], []]);
  server.apply(state(true), peers);
  expect(sources()).toEqual([["out_acme"], []]);
  expect(server.apply(state(true), peers)).toEqual([]);
});

test("a source that comes into an older copy is attached after what is stored; into any other stream it is put as it is", () => {
  const state = berlin([
    { tenant: "acme", log: false, imports: [{ from: "austin", subjects: ["acme.>"], live: true }] },
  ]);
  const offered = new Map([["austin", peer({ offered: [OFFER] })]]);
  const texts = (isOlderCopy: boolean) => {
    const server = new FakeServer();
    // The stream is there, and its peer has offered nothing yet.
    server.apply(state, new Map([["austin", peer({ offered: [] })]]));
    const asked: string[] = [];
    const more = {
      isOlderCopy: (stream: string, origin: string) => {
        asked.push(`${stream} of ${origin}`);
        return isOlderCopy;
      },
    };
    const texts = server.plan(state, offered, more).steps.map((step) => describeStep(step).text);
    expect(new Set(asked)).toEqual(new Set(["in_acme of austin"]));
    return texts.filter((text) => /attach|sources/.test(text));
  };
  expect(texts(true)).toEqual(["attach out_acme of austin to in_acme, after what is stored of it"]);
  expect(texts(false)).toEqual(["update stream MESH/in_acme: sources"]);
});
