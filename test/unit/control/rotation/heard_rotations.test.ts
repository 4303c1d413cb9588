/** What a site takes of a peer's rotation, and what it refuses. */
import { beforeAll, describe, expect, test } from "bun:test";
import type { StateStore } from "../../../../src/control/api.ts";
import { HeardRotations } from "../../../../src/control/rotation/heard_rotations.ts";
import { signRotation } from "../../../../src/control/rotation/statement.ts";
import { describeCertificate, splitPem } from "../../../../src/model/certificate.ts";
import type { HeardRotation, RotationStatement } from "../../../../src/model/rotation.ts";
import type { Peer } from "../../../../src/model/schema/site.ts";
import { createSigningKey, type SigningKey } from "../../../../src/nats/keys.ts";
import { createCa } from "../../../../src/nats/pki/certificates.ts";

const YEAR = { now: new Date(), ttlMs: 365 * 86_400_000 };
const [OLD, NEXT, OTHER] = [createSigningKey(), createSigningKey(), createSigningKey()];
let cas: string[];
const fingerprint = (pem: string) => describeCertificate(pem).fingerprint;

beforeAll(async () => {
  cas = await Promise.all([1, 2, 3].map(async () => (await createCa("tokyo", YEAR)).certPem));
});

/** Berlin, which has tokyo as its peer. */
function berlin(peer: Partial<Peer> = {}) {
  const [ca = ""] = cas;
  const peers = new Map<string, Peer>([
    ["tokyo", { name: "tokyo", key: OLD.publicKey, ca, ...peer }],
    ["austin", { name: "austin", key: OTHER.publicKey, ca: cas[2] ?? "" }],
  ]);
  const heard = new Map<string, HeardRotation>();
  let configured = 0;
  const state = {
    get: ({ peer }: { peer: string }) => {
      const value = peers.get(peer);
      return value === undefined ? null : { value, revision: 1, changedAt: "" };
    },
    put: async (_ref: unknown, value: Peer) => {
      peers.set(value.name, value);
      return 2;
    },
    list: () => [...peers].map(([peer, value]) => ({ ref: { peer }, document: { value } })),
  } as unknown as StateStore;
  const rotations = new HeardRotations({
    site: "berlin",
    state,
    store: {
      heard: async (from) => heard.get(from) ?? null,
      putHeard: async (from, one) => void heard.set(from, one),
    },
    configure: async () => void configured++,
    as: (_peer, work) => work(),
    ownCas: () => [],
    log: () => {},
  });
  return { rotations, tokyo: () => peers.get("tokyo"), configured: () => configured };
}

function statement(
  subject: RotationStatement["subject"],
  more: Partial<RotationStatement> = {},
): RotationStatement {
  return { version: 1, site: "tokyo", to: "berlin", epoch: 10, step: "announce", subject, ...more };
}
const toKey = (from: SigningKey, next: SigningKey): RotationStatement["subject"] => ({
  what: "key",
  from: from.publicKey,
  next: next.publicKey,
});
const toCa = (from: number, next: number): RotationStatement["subject"] => ({
  what: "ca",
  from: fingerprint(cas[from] ?? ""),
  next: cas[next] ?? "",
});

describe("HeardRotations", () => {
  test("takes a key that the old and the new one sign, then the new one alone; each as often as it is said", async () => {
    const { rotations, tokyo, configured } = berlin();
    const announce = signRotation(statement(toKey(OLD, NEXT)), [OLD, NEXT]);
    for (let i = 0; i < 2; i++) await rotations.take("tokyo", announce);
    expect(tokyo()).toMatchObject({ key: OLD.publicKey, nextKey: NEXT.publicKey });
    expect(configured()).toBe(2);
    const retire = signRotation(statement(toKey(OLD, NEXT), { step: "retire" }), [NEXT]);
    for (let i = 0; i < 2; i++) await rotations.take("tokyo", retire);
    expect(tokyo()).toEqual({ name: "tokyo", key: NEXT.publicKey, ca: cas[0] ?? "" });
    // What cuts is done when this is answered.
    expect(configured()).toBe(2);
    await expect(rotations.take("tokyo", announce)).rejects.toThrow("is over");
  });

  test("takes a CA beside the old one, then alone", async () => {
    const { rotations, tokyo } = berlin();
    await rotations.take("tokyo", signRotation(statement(toCa(0, 1)), [OLD]));
    expect(splitPem(tokyo()?.ca ?? "")).toEqual([...splitPem(cas[0] ?? ""), ...splitPem(cas[1] ?? "")]);
    await rotations.take("tokyo", signRotation(statement(toCa(0, 1), { step: "retire" }), [OLD]));
    expect(splitPem(tokyo()?.ca ?? "")).toEqual([...splitPem(cas[1] ?? "")]);
  });

  test("goes on with a peer that was never told to drop the key before", async () => {
    const { rotations, tokyo } = berlin({ nextKey: NEXT.publicKey });
    const third = createSigningKey();
    await rotations.take("tokyo", signRotation(statement(toKey(NEXT, third)), [NEXT, third]));
    expect(tokyo()).toMatchObject({ key: NEXT.publicKey, nextKey: third.publicKey });
  });

  const announced = { nextKey: NEXT.publicKey };
  const cases: readonly (readonly [string, string, () => [object, Partial<Peer>?]])[] = [
    [
      "no signature of the key that is trusted",
      "trusted here",
      () => [signed(toKey(OLD, NEXT), [OTHER, NEXT])],
    ],
    ["no signature of the new key", "by the new key", () => [signed(toKey(OLD, NEXT), [OLD])]],
    [
      "a key that is not the one that is trusted",
      "key that it replaces",
      () => [signed(toKey(OTHER, NEXT), [OLD, NEXT])],
    ],
    [
      "another key than the one announced",
      "than the one that was announced",
      () => [signed(toKey(OLD, OTHER), [OLD, OTHER], {}, "announce"), announced],
    ],
    ["one key twice", "one key twice", () => [signed(toKey(OLD, OLD), [OLD])]],
    [
      "to drop a key whose successor was not announced",
      "trusted here",
      () => [signed(toKey(OLD, NEXT), [NEXT], {}, "retire")],
    ],
    [
      "a statement for another site",
      "is for austin",
      () => [signed(toKey(OLD, NEXT), [OLD, NEXT], { to: "austin" })],
    ],
    [
      "a statement of another site",
      "is of austin",
      () => [signed(toKey(OLD, NEXT), [OLD, NEXT], { site: "austin" })],
    ],
    ["a CA that replaces one that is not trusted", "not of the CA", () => [signed(toCa(1, 2), [OLD])]],
    ["the CA of another peer", "the CA of another site", () => [signed(toCa(0, 2), [OLD])]],
    [
      "to drop the CA without one that was announced",
      "not announced",
      () => [signed(toCa(0, 1), [OLD], {}, "retire")],
    ],
    [
      "a CA that is none",
      "none can say",
      () => [signed({ what: "ca", from: fingerprint(cas[0] ?? ""), next: "-" }, [OLD])],
    ],
    ["nothing that is signed", "not what the verb takes", () => [{ statement: "{}" }]],
  ];
  function signed(
    subject: RotationStatement["subject"],
    keys: readonly SigningKey[],
    more: Partial<RotationStatement> = {},
    step: RotationStatement["step"] = "announce",
  ): object {
    return signRotation(statement(subject, { step, ...more }), keys);
  }
  test.each(cases)("refuses %s", async (_name, why, make) => {
    const [body, peer] = make();
    const { rotations, tokyo, configured } = berlin(peer);
    const before = tokyo();
    await expect(rotations.take("tokyo", body)).rejects.toMatchObject({
      code: "request_invalid",
      message: expect.stringContaining(why),
    });
    expect([tokyo(), configured()]).toEqual([before, 0]);
  });

  test("refuses what is older than what was taken, and another one of the same time", async () => {
    const { rotations, tokyo } = berlin();
    await rotations.take("tokyo", signRotation(statement(toCa(0, 1), { epoch: 20 }), [OLD]));
    const before = tokyo();
    const late = { epoch: 19, step: "retire" } as const;
    await expect(rotations.take("tokyo", signRotation(statement(toCa(1, 0), late), [OLD]))).rejects.toThrow(
      "older than one that was taken",
    );
    const same = signRotation(statement(toKey(OLD, NEXT), { epoch: 20 }), [OLD, NEXT]);
    await expect(rotations.take("tokyo", same)).rejects.toThrow("at its time");
    await rotations.take("tokyo", signRotation(statement(toCa(0, 1), { epoch: 20, step: "retire" }), [OLD]));
    await expect(
      rotations.take("tokyo", signRotation(statement(toCa(0, 1), { epoch: 20 }), [OLD])),
    ).rejects.toThrow("is over");
    expect(before).not.toEqual(tokyo());
  });

  test("refuses whoever is no peer", async () => {
    const { rotations } = berlin();
    await expect(
      rotations.take("osaka", signRotation(statement(toKey(OLD, NEXT), { site: "osaka" }), [OLD, NEXT])),
    ).rejects.toThrow("nobody who is a peer");
  });
});
