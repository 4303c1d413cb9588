import { beforeAll, describe, expect, test } from "bun:test";
import { caProblem, describeCertificate, splitPem } from "../../../src/model/certificate.ts";
import { Peer } from "../../../src/model/schema/site.ts";
import { type Credential, createCa, issueLink } from "../../../src/nats/pki/certificates.ts";

const KEY = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const validity = { now: new Date(), ttlMs: 3_600_000 };
let ca: Credential;
let link: Credential;

beforeAll(async () => {
  ca = await createCa("berlin", validity);
  link = await issueLink(ca, { site: "berlin", hosts: ["127.0.0.1"] }, validity);
});

describe("caProblem()", () => {
  test("takes one CA, and two while it rotates", () => {
    expect(caProblem(ca.certPem)).toBeNull();
    expect(caProblem(`${ca.certPem}\n${ca.certPem}`)).toBeNull();
  });

  test("refuses everything else, and repeats nothing of it", () => {
    expect(caProblem("nothing")).toContain("is no certificate in PEM");
    expect(caProblem("")).toContain("is no certificate in PEM");
    expect(caProblem(ca.certPem + ca.keyPem)).toContain("holds a private key");
    expect(caProblem(link.certPem)).toContain("which is no CA");
    expect(caProblem(ca.certPem.repeat(3))).toContain("holds 3 certificates");
    expect(caProblem(`${ca.certPem}and more`)).toContain("is no certificate in PEM");
    expect(caProblem("-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n")).toContain(
      "cannot be read",
    );
    expect(Peer.safeParse({ name: "tokyo", key: KEY, ca: ca.keyPem }).error?.message).not.toContain(
      ca.keyPem.split("\n")[1] ?? "",
    );
  });
});

describe("describeCertificate()", () => {
  test("tells who it is of, for which names, and until when", () => {
    const info = describeCertificate(link.certPem);
    expect(info).toMatchObject({ subject: "berlin", isCa: false });
    expect(info.names).toContain("URI:leafmesh:site:berlin");
    expect(info.notAfter.getTime()).toBeGreaterThan(Date.now());
    expect(info.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(splitPem(ca.certPem + ca.certPem)).toEqual([ca.certPem, ca.certPem]);
  });
});
