import { expect, test } from "bun:test";
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { Peering, type PeeringHost } from "../../../src/control/peering.ts";
import { createSigningKey, type SigningKey } from "../../../src/nats/keys.ts";

const WITHIN_MS = 2000;
/** So many as a peer works on at once. */
const VERBS = Array.from({ length: 8 }, (_, n) => `wait${n}`);

/** A connection that both sites are on; a request that nobody answers runs into its deadline at once. */
function link(): NatsConnection {
  const heard = new Map<string, (error: null, message: Msg) => void>();
  const bytes = (data: unknown) => new TextEncoder().encode(String(data));
  const message = (subject: string, data: unknown, respond: (answer: unknown) => void) =>
    ({ subject, data: bytes(data), string: () => String(data), respond }) as unknown as Msg;
  return {
    subscribe: (subject: string, { callback }: { callback: (error: null, message: Msg) => void }) => {
      heard.set(subject.split(".")[1] ?? "", callback);
      return { unsubscribe: () => heard.delete(subject.split(".")[1] ?? "") };
    },
    request: (subject: string, data: unknown, { timeout }: { timeout: number }) =>
      new Promise<Msg>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error("no answer")), timeout);
        const answer = (text: unknown) => {
          clearTimeout(late);
          resolve(message(subject, text, () => {}));
        };
        heard.get(subject.split(".")[1] ?? "")?.(null, message(subject, data, answer));
      }),
  } as unknown as NatsConnection;
}

function site(
  nc: NatsConnection,
  names: { readonly site: string; readonly peer: string },
  keys: Readonly<Record<string, SigningKey>>,
  host: Partial<PeeringHost> = {},
): Peering {
  const key = (name: string) => keys[name] as SigningKey;
  return new Peering(nc, key(names.site), {
    site: names.site,
    peers: () => [{ name: names.peer, key: key(names.peer).publicKey }],
    accepted: () => [],
    offers: () => [],
    position: async () => ({ attached: true, sequence: 7 }),
    changed: () => {},
    refused: () => {},
    ...host,
  });
}

test("a peer answers for as many streams as it is asked for at once", async () => {
  const keys = { berlin: createSigningKey(), tokyo: createSigningKey() };
  const nc = link();
  await using berlin = site(nc, { site: "berlin", peer: "tokyo" }, keys);
  const position = async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return { attached: true, sequence: 7 };
  };
  await using _tokyo = site(nc, { site: "tokyo", peer: "berlin" }, keys, { position });
  const begun = performance.now();
  const all = await Promise.all(
    Array.from({ length: 40 }, (_, n) => berlin.position("tokyo", "acme", `out_${n}`)),
  );
  expect(all.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 40 }, () => 7));
  expect(performance.now() - begun).toBeLessThan(WITHIN_MS);
});

test("a peer that refuses what it has not read, as it is asked too much, is the peer all the same", async () => {
  const keys = { berlin: createSigningKey(), tokyo: createSigningKey() };
  const nc = link();
  await using berlin = site(nc, { site: "berlin", peer: "tokyo" }, keys);
  let answer = () => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  await using _tokyo = site(nc, { site: "tokyo", peer: "berlin" }, keys, {
    verbs: Object.fromEntries(VERBS.map((verb) => [verb, () => answered.then(() => ({}))])),
  });
  berlin.syncAll();
  while (berlin.knowledge().get("tokyo")?.verified !== "yes") await new Promise(setImmediate);
  const waiting = VERBS.map((verb) => berlin.ask("tokyo", verb, {}, 60_000));
  berlin.syncAll();
  while (berlin.why("tokyo") === null) await new Promise(setImmediate);
  expect(berlin.why("tokyo")).toContain("tokyo refused: too many requests");
  expect(berlin.knowledge().get("tokyo")?.verified).toBe("yes");
  answer();
  await Promise.all(waiting);
});
