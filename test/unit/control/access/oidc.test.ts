/** Tokens of an issuer on this machine: whose are taken, and all that is not. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { sign } from "hono/jwt";
import { isTrustedUrl, jwksReader, parseKeys } from "../../../../src/control/access/jwks.ts";
import { OidcTokens } from "../../../../src/control/access/oidc.ts";
import { LeafmeshError } from "../../../../src/model/errors.ts";
import type { OidcSettings } from "../../../../src/model/schema/api.ts";

const NOW = Date.UTC(2026, 0, 2);
const EC = { name: "ECDSA", namedCurve: "P-256" };
const RSA = {
  name: "RSASSA-PKCS1-v1_5",
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: "SHA-256",
};

async function makeKey(kid: string, alg: "ES256" | "RS256" | "EdDSA") {
  const algorithm = { ES256: EC, RS256: RSA, EdDSA: { name: "Ed25519" } }[alg];
  const pair = (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
  const jwkOf = async (key: CryptoKey) => await crypto.subtle.exportKey("jwk", key);
  const { key_ops: _ops, ext: _ext, alg: _alg, ...open } = await jwkOf(pair.publicKey);
  return {
    kid,
    alg,
    secret: { ...(await jwkOf(pair.privateKey)), kid, alg },
    open: { ...open, kid, use: "sig" },
  };
}
const [ec, rsa, ed, foreign] = await Promise.all([
  makeKey("ec-1", "ES256"),
  makeKey("rsa-1", "RS256"),
  makeKey("ed-1", "EdDSA"),
  // The issuer's id, somebody else's key.
  makeKey("ec-1", "ES256"),
]);

let now: number;
let served: unknown;
let reads: number;
let broken: boolean;
let oidc: OidcTokens;
let issuer: string;
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: (request) => {
    reads += 1;
    if (broken) return new Response("no", { status: 500 });
    const path = new URL(request.url).pathname;
    if (path === "/.well-known/openid-configuration") {
      return Response.json({ issuer, jwks_uri: `${issuer}/keys` });
    }
    return path === "/keys" ? Response.json(served) : new Response("no", { status: 404 });
  },
});
server.unref();
issuer = `http://127.0.0.1:${server.port}`;

function open(settings: Partial<OidcSettings> = {}): OidcTokens {
  const all: OidcSettings = {
    issuer,
    audience: "leafmesh",
    roleClaim: "realm.roles",
    roles: { operator: ["ops"], "tenant-admin": ["tenants"], viewer: ["staff", "guests"] },
    ...settings,
  };
  return new OidcTokens({ settings: all, jwks: jwksReader(all.issuer, all.jwks), now: () => now });
}

beforeEach(() => {
  now = NOW;
  reads = 0;
  broken = false;
  served = { keys: [ec.open, rsa.open, ed.open] };
  oidc = open();
});
afterEach(() => oidc[Symbol.dispose]());

const claims = (more: object = {}) => ({
  iss: issuer,
  aud: "leafmesh",
  sub: "kim",
  iat: NOW / 1000,
  exp: NOW / 1000 + 300,
  realm: { roles: ["guests"] },
  ...more,
});
const signed = (more: object = {}, key: typeof ec = ec) => sign(claims(more), key.secret);
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

async function refusal(token: string, by: OidcTokens = oidc): Promise<string> {
  try {
    await by.authenticate(token);
  } catch (error) {
    if (error instanceof LeafmeshError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error("It was taken");
}

describe("an issuer's token", () => {
  test.each([ec, rsa, ed])("signed with $alg gives a role", async (key) => {
    const { principal } = await oidc.authenticate(await signed({}, key));
    expect(principal).toEqual({ name: "kim", type: "oidc", role: "viewer" });
  });

  test("gives the first of its roles, and a tenant-admin its tenant", async () => {
    const roles = { realm: { roles: ["guests", "tenants"] } };
    const { principal } = await oidc.authenticate(await signed({ ...roles, tenant: "acme" }));
    expect(principal).toEqual({ name: "kim", type: "oidc", role: "tenant-admin", tenant: "acme" });
    for (const tenant of [undefined, "", "Acme", "*", ["acme", "globex"], 7, { acme: 1 }]) {
      expect(await refusal(await signed({ ...roles, tenant }))).toContain("names no tenant");
    }
    using flat = open({ roleClaim: "groups" });
    expect((await flat.authenticate(await signed({ groups: "ops" }))).principal.role).toBe("operator");
  });

  test("is taken as long as it lives, give or take a minute, and ends what is open then", async () => {
    const token = await signed();
    now = NOW + 359_000;
    const { signal } = await oidc.authenticate(token);
    now = NOW + 361_000;
    expect(await refusal(token)).toContain("has expired");
    while (!signal.aborted) await Bun.sleep(20);
  });

  test.each([
    ["of another issuer", { iss: "https://other.example" }, "another issuer's"],
    ["whose issuer only begins like it", { iss: `http://127.0.0.1:${server.port}/` }, "another issuer's"],
    ["for another audience", { aud: ["other", "leafmesh2"] }, "another audience"],
    ["for no audience", { aud: undefined }, "no audience"],
    ["without a subject", { sub: undefined }, "needs"],
    ["with a line break in its subject", { sub: "kim\nroot" }, "needs"],
    ["without an end", { exp: undefined }, "needs"],
    ["with an end that is no number", { exp: "9999999999" }, "needs"],
    ["that has expired", { exp: NOW / 1000 - 61 }, "has expired"],
    ["of tomorrow", { nbf: NOW / 1000 + 90 }, "not valid yet"],
    ["made in the future", { iat: NOW / 1000 + 90 }, "from the future"],
    ["without a role of ours", { realm: { roles: ["others"] } }, "gives no role"],
    ["with a role that Object has", { realm: { roles: ["constructor", "__proto__"] } }, "gives no role"],
    ["with roles in one text", { realm: { roles: "guests ops" } }, "gives no role"],
  ])("%s is refused", async (_, more, why) => {
    expect(await refusal(await signed(more))).toContain(why);
  });

  test("that nobody signed, or somebody else, is refused", async () => {
    const body = part(claims({ realm: { roles: ["ops"] } }));
    const good = await signed();
    const [head = "", , signature = ""] = good.split(".");
    const hmac = (secret: string, header: object) => {
      const text = `${part(header)}.${body}`;
      return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
    };
    const cases: Record<string, string> = {
      "no algorithm": `${part({ alg: "none", kid: "ec-1" })}.${body}.AA`,
      "none in other letters": `${part({ alg: "nOnE", kid: "ec-1" })}.${body}.AA`,
      "the public key as a secret": hmac(JSON.stringify(rsa.open), {
        alg: "HS256",
        kid: "rsa-1",
        typ: "JWT",
      }),
      "its modulus as a secret": hmac(String(rsa.open.n), { alg: "HS256", kid: "rsa-1" }),
      "another's key under the same id": await sign(claims(), foreign.secret),
      "another key of the issuer": await sign(claims(), { ...rsa.secret, kid: "ec-1" }),
      "claims of another": `${head}.${body}.${signature}`,
      "no key id": await sign(claims(), { ...ec.secret, kid: undefined } as never),
      "a key id that is a path": await sign(claims(), { ...ec.secret, kid: "../../keys/site.nk" }),
      "a key id of Object": await sign(claims(), { ...ec.secret, kid: "__proto__" }),
      "a key that it brings along": await (async () => {
        const text = `${part({ alg: "ES256", kid: "mine", jwk: foreign.open, jku: "http://127.0.0.1:1/" })}.${body}`;
        const key = await crypto.subtle.importKey("jwk", foreign.secret, EC, false, ["sign"]);
        const made = await crypto.subtle.sign({ ...EC, hash: "SHA-256" }, key, Buffer.from(text));
        return `${text}.${Buffer.from(made).toString("base64url")}`;
      })(),
      "a critical header": `${part({ alg: "ES256", kid: "ec-1", crit: ["b64"], b64: false })}.${body}.${signature}`,
      "another type of token": `${part({ alg: "ES256", kid: "ec-1", typ: "logout+jwt" })}.${body}.${signature}`,
      "no JSON": `${Buffer.from("{").toString("base64url")}.${body}.${signature}`,
    };
    for (const [what, token] of Object.entries(cases)) {
      const said = await refusal(token);
      expect([what, said.startsWith("unauthorized: The OIDC token is refused")]).toEqual([what, true]);
      expect(said).not.toContain(signature);
    }
    expect((await oidc.authenticate(good)).principal.role).toBe("viewer");
  });
});

describe("the issuer's keys", () => {
  test("are read once, and again for an id that is new, at most every 30 seconds", async () => {
    for (let i = 0; i < 20; i += 1) await oidc.authenticate(await signed());
    expect(reads).toBe(2);
    const next = await makeKey("ec-2", "ES256");
    served = { keys: [next.open] };
    for (let i = 0; i < 20; i += 1)
      expect(await refusal(await signed({}, next))).toContain("none of the issuer's");
    expect(reads).toBe(2);
    now += 31_000;
    expect((await oidc.authenticate(await signed({}, next))).principal.name).toBe("kim");
    // The old key was taken back, also for a token that was taken before.
    expect(await refusal(await signed())).toContain("none of the issuer's");
    expect(reads).toBe(4);
  });

  test("that cannot be read let nobody in, and say so", async () => {
    broken = true;
    expect(await refusal(await signed())).toMatch(/^issuer_unreachable: .*answers 500$/);
    broken = false;
    now += 3000;
    expect((await oidc.authenticate(await signed())).principal.name).toBe("kim");
  });

  test("serve for an hour when they cannot be read again", async () => {
    const long = await signed({ exp: NOW / 1000 + 86_400 });
    await oidc.authenticate(long);
    broken = true;
    now += 65 * 60_000;
    expect((await oidc.authenticate(long)).principal.name).toBe("kim");
    now += 10 * 60_000;
    expect(await refusal(long)).toContain("issuer_unreachable");
  });

  test("may stand in a file; a discovery document of another issuer is none", async () => {
    const file = `${process.env.TMPDIR ?? "/tmp"}/jwks-${process.pid}.json`;
    await Bun.write(file, JSON.stringify(served));
    using local = open({ jwks: file });
    expect((await local.authenticate(await signed())).principal.name).toBe("kim");
    expect(reads).toBe(0);
    await Bun.file(file).delete();
    using other = open({ issuer: `${issuer}/other` });
    expect(await refusal(await signed(), other)).toContain("issuer_unreachable");
  });

  test("are public, asymmetric, long enough and for signatures", () => {
    const kept = (key: object) =>
      parseKeys(JSON.stringify({ keys: [key] })).map(({ algorithms }) => algorithms.join());
    expect(kept(ec.open)).toEqual(["ES256"]);
    expect(kept({ ...rsa.open, alg: "PS256" })).toEqual(["PS256"]);
    const refused: object[] = [
      { kty: "oct", k: "c2VjcmV0", kid: "a", alg: "HS256" },
      { ...rsa.open, n: "AQAB" },
      { ...rsa.open, alg: "HS256" },
      { ...ec.open, alg: "RS256" },
      { ...ec.open, use: "enc" },
      { ...ec.open, key_ops: ["sign"] },
      { ...ec.open, kid: undefined },
      ec.secret,
    ];
    for (const key of refused) expect([key, kept(key)]).toEqual([key, []]);
    expect(() => parseKeys("[]")).toThrow("no JSON Web Key Set");
    expect(() => parseKeys(JSON.stringify({ keys: new Array(65).fill(ec.open) }))).toThrow("at most 64");
  });

  test("come by https, or from this machine", () => {
    const urls = ["https://id.example", "http://localhost:1/k", "http://127.0.0.1/k", "http://[::1]/k"];
    const others = [
      "http://id.example/k",
      "http://127.0.0.1.evil.example/",
      "file:///etc/x",
      "ftp://127.0.0.1/",
      "x",
    ];
    expect([...urls, ...others].filter(isTrustedUrl)).toEqual(urls);
  });
});
