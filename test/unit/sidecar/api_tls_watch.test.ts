import { expect, test } from "bun:test";
import { createCa, issueApi } from "../../../src/nats/pki/certificates.ts";
import type { TlsFiles } from "../../../src/runtime/serve.ts";
import { ApiTlsWatch, tlsProblem } from "../../../src/sidecar/api_tls_watch.ts";

const HOUR_MS = 3_600_000;
const names = { site: "berlin", hosts: ["127.0.0.1"] };

async function make(validity: { now?: Date; ttlMs?: number } = {}): Promise<TlsFiles> {
  const whole = { now: new Date(), ttlMs: 1000 * HOUR_MS };
  const { certPem, keyPem } = await issueApi(await createCa("berlin", whole), names, {
    ...whole,
    ...validity,
  });
  return { cert: certPem, key: keyPem };
}

test("takes what is new and good into use, keeps what it has otherwise, and says so once", async () => {
  const [first, second] = [await make(), await make()];
  const expired = await make({ now: new Date(Date.now() - 2 * HOUR_MS), ttlMs: HOUR_MS });
  let stored: TlsFiles | Error = first;
  const shown: TlsFiles[] = [];
  const said: string[] = [];
  await using watch = new ApiTlsWatch(first, {
    load: async () => {
      if (stored instanceof Error) throw stored;
      return stored;
    },
    self: null,
    replace: async (tls) => void shown.push(tls),
    log: (level, message) => said.push(`${level} ${message}`),
    now: () => new Date(),
    everyMs: HOUR_MS,
  });
  await watch.look();
  expect([shown, said]).toEqual([[], []]);

  for (const [bad, why] of [
    [{ cert: second.cert, key: first.key }, "is not the key of api.tls.cert"],
    [expired, "has expired at"],
    [{ cert: "nothing", key: second.key }, "holds no certificate"],
    [{ cert: second.cert, key: "nothing" }, "holds no private key"],
    [new Error("api.tls.key: there is no file"), "there is no file"],
  ] as const) {
    stored = bad;
    await watch.look();
    // The other file may be on its way.
    expect(said).toEqual([]);
    for (let i = 0; i < 3; i++) await watch.look();
    expect(said).toEqual([expect.stringContaining("warn the certificate of the API stays as it was")]);
    expect(said.pop()).toContain(why);
    stored = first;
    await watch.look();
  }
  expect(shown).toEqual([]);
  stored = second;
  await watch.look();
  await watch.look();
  expect(shown).toEqual([second]);
  expect(said).toEqual([expect.stringContaining("info the API has another certificate")]);
});

test("has one of the site's own CA issued again when the CA is another, and in time", async () => {
  const first = await make({ ttlMs: 90 * HOUR_MS });
  const self = { fingerprint: "a" };
  let [at, issued] = [Date.now(), 0];
  await using watch = new ApiTlsWatch(first, {
    load: async () => {
      issued++;
      return await make();
    },
    self,
    replace: async () => {},
    log: () => {},
    now: () => new Date(at),
    everyMs: HOUR_MS,
  });
  await watch.look();
  expect(issued).toBe(0);
  self.fingerprint = "b";
  await watch.look();
  await watch.look();
  expect(issued).toBe(1);
  at += 700 * HOUR_MS;
  await watch.look();
  expect(issued).toBe(2);
});

test("tlsProblem() says nothing of what a key holds", async () => {
  const { cert } = await make();
  expect(
    tlsProblem({ cert, key: "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----" }, new Date()),
  ).not.toContain("c2VjcmV0");
  expect(tlsProblem({ cert, key: "" }, new Date(Date.now() - 3 * HOUR_MS))).toContain("is good from");
});
