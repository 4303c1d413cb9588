import { describe, expect, test } from "bun:test";
import {
  AuditRecord,
  canonicalJson,
  genesis,
  KEY_ROTATED,
  recordHash,
  signedBytes,
  type VerifyOptions,
  verifyTrail,
} from "../../../src/model/audit.ts";
import { withoutSecretFields } from "../../../src/model/secrets.ts";
import { createSigningKey, type SigningKey } from "../../../src/nats/keys.ts";

const KEY = createSigningKey();

function sealed(fields: Record<string, unknown>, key: SigningKey = KEY): AuditRecord {
  const unsigned = { ...fields, key: key.publicKey };
  const hash = recordHash(unsigned);
  return AuditRecord.parse({
    ...unsigned,
    hash,
    sig: Buffer.from(key.sign(signedBytes(hash))).toString("base64"),
  });
}

function chain(
  length: number,
  key: SigningKey = KEY,
  from: { seq: number; hash: string } | null = null,
): AuditRecord[] {
  const records: AuditRecord[] = [];
  let { seq, hash } = from ?? { seq: 0, hash: genesis("berlin") };
  for (let i = 0; i < length; i++) {
    const at = new Date(1_700_000_000_000 + seq).toISOString();
    const record = sealed(
      {
        v: 1,
        seq: seq + 1,
        at,
        site: "berlin",
        type: "event",
        who: null,
        from: null,
        operation: "test",
        target: `thing ${seq}`,
        prev: hash,
      },
      key,
    );
    records.push(record);
    ({ seq, hash } = record);
  }
  return records;
}

const verify = (records: readonly object[], more: Partial<VerifyOptions> = {}) =>
  verifyTrail(records.map(canonicalJson), { keys: [KEY.publicKey], ...more });

describe("verifyTrail()", () => {
  test("passes a trail that is whole, and says where it ends", () => {
    const records = chain(5);
    const report = verify(records);
    expect(report).toMatchObject({ ok: true, records: 5, broken: null, notes: [] });
    expect(report.head).toEqual({ seq: 5, hash: records[4]?.hash ?? "" });
    expect(verifyTrail([], { keys: [] }).ok).toBe(true);
  });

  test("finds a record that was changed, by its own hash", () => {
    const records = chain(5).map((one, index) => (index === 2 ? { ...one, target: "another thing" } : one));
    expect(verify(records).broken).toMatchObject({
      line: 3,
      seq: null,
      what: "was changed: its hash is another",
    });
    const added = chain(5).map((one, index) => (index === 2 ? { ...one, more: true } : one));
    expect(verify(added).broken?.line).toBe(3);
  });

  test("finds a record that was changed and hashed anew: the signature is not the site's", () => {
    const records = chain(5).map((one, index) => {
      if (index !== 2) return one;
      const changed = { ...one, target: "another thing" };
      return { ...changed, hash: recordHash(changed) };
    });
    expect(verify(records).broken).toEqual({
      line: 3,
      seq: 3,
      what: "has a signature that is not the site's",
    });
  });

  test("finds a chain that somebody else made, whole as it is", () => {
    const stranger = createSigningKey();
    expect(verify(chain(3, stranger)).broken).toMatchObject({ line: 1, seq: 1 });
    const claimed = chain(3, stranger).map((one) => ({ ...one, key: KEY.publicKey }));
    expect(verify(claimed.map((one) => ({ ...one, hash: recordHash(one) }))).broken?.line).toBe(1);
  });

  test("finds a record that was removed from the middle", () => {
    const broken = verify(chain(5).toSpliced(2, 1)).broken;
    expect(broken).toEqual({ line: 3, seq: 4, what: "records 3 to 3 before it are missing" });
  });

  test("finds records that changed places, and one that stands there twice", () => {
    const [a, b, c] = chain(3) as [AuditRecord, AuditRecord, AuditRecord];
    expect(verify([a, c, b]).broken?.line).toBe(2);
    expect(verify([b, a, c]).broken?.what).toContain("is out of order");
    expect(verify([a, a, b]).broken?.what).toContain("is out of order");
  });

  test("finds a part that was replaced by one that the site signed at another time", () => {
    const records = chain(4);
    const other = chain(1, KEY, { seq: 2, hash: "0".repeat(64) });
    expect(verify([...records.slice(0, 2), ...other]).broken).toMatchObject({ line: 3, seq: 3 });
  });

  test("finds what was cut off at the end when a head was kept elsewhere, and only then", () => {
    const records = chain(5);
    const head = { seq: 5, hash: records[4]?.hash ?? "" };
    expect(verify(records.slice(0, 3)).ok).toBe(true);
    expect(verify(records.slice(0, 3), { head }).broken).toMatchObject({ line: 4, seq: 5 });
    expect(verify(records, { head }).ok).toBe(true);
    expect(verify(records, { head: { seq: 5, hash: "0".repeat(64) } }).broken?.seq).toBe(5);
  });

  test("takes a trail whose oldest records retention has dropped, and says so", () => {
    const report = verify(chain(5).slice(3));
    expect(report).toMatchObject({ ok: true, first: { seq: 4 } });
    expect(report.notes).toEqual(["It begins at record 4: those before are not in it"]);
  });

  test("finds a first record that is not the first of its site", () => {
    const record = sealed({
      ...(chain(1)[0] as AuditRecord),
      site: "austin",
      hash: undefined,
      sig: undefined,
    });
    expect(verify([record]).broken?.what).toBe("is not the first of the trail of site austin");
  });

  test("goes on with the key that a rotation names, and with no other", () => {
    const next = createSigningKey();
    const [before] = chain(1) as [AuditRecord];
    const fields = {
      v: 1,
      seq: 2,
      at: before.at,
      site: "berlin",
      type: "event",
      who: null,
      from: null,
      target: "site berlin",
      prev: before.hash,
    };
    const rotation = sealed({ ...fields, operation: KEY_ROTATED, after: { key: next.publicKey } });
    const after = chain(2, next, rotation);
    expect(verify([before, rotation, ...after])).toMatchObject({ ok: true, records: 4 });
    const other = sealed({ ...fields, operation: "something", after: { key: next.publicKey } });
    expect(verify([before, other, ...chain(1, next, other)]).broken?.line).toBe(3);
  });

  test("says which line is no record", () => {
    expect(verifyTrail(["{"], { keys: [] }).broken).toMatchObject({ line: 1, what: "is no JSON" });
    expect(verifyTrail(["{}"], { keys: [] }).broken?.what).toBe("is no record of an audit trail");
  });
});

describe("withoutSecretFields()", () => {
  test("hides fields by name and texts by their looks", () => {
    const seed = new TextDecoder().decode(KEY.seed());
    const hash = `$2b$10$${"a".repeat(53)}`;
    const secrets = {
      password: "hunter22hunter22",
      users: [{ name: "billing", passwordHash: hash, key: KEY.publicKey }],
      api: { token: "lm_abcdefghijklmnop" },
      clientSecret: "very secret value",
      note: `seed ${seed} and lmi_abcdefghijkl and ${hash}`,
      url: "nats://user:pa55word@host:4222",
      pem: "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----",
      jwt: "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
    };
    const text = JSON.stringify(withoutSecretFields(secrets));
    for (const secret of [
      "hunter22",
      "lm_abc",
      "lmi_abc",
      "very secret",
      "$2b$10$",
      seed,
      "pa55word",
      "MIIabc",
      "eyJhbGci",
    ]) {
      expect([secret, text.includes(secret)]).toEqual([secret, false]);
    }
    expect(text).toContain(KEY.publicKey);
    expect(text).toContain("billing");
  });

  test("leaves what is none, and survives any depth", () => {
    const plain = {
      rules: [{ subjects: ["acme.>"], redact: [{ path: "$.password", with: "remove" }] }],
      n: 1,
      b: true,
    };
    expect(withoutSecretFields(plain)).toEqual(plain);
    let deep: unknown = "x";
    for (let i = 0; i < 100; i++) deep = { deep };
    expect(JSON.stringify(withoutSecretFields(deep))).toContain("<too deep>");
  });
});
