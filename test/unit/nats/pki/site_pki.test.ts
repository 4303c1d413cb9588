import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describeCertificate } from "../../../../src/model/certificate.ts";
import { LeafmeshError } from "../../../../src/model/errors.ts";
import { SitePki } from "../../../../src/nats/pki/site_pki.ts";
import { type TempFolder, tempFolder } from "../../../support/temp_folder.ts";

const DAY_MS = 24 * 3_600_000;
let temp: TempFolder;

beforeEach(async () => {
  temp = await tempFolder();
});
afterEach(async () => await temp[Symbol.asyncDispose]());

const keyFile = (name: string) => join(temp.path, "keys", name);
const load = (more: Partial<Parameters<typeof SitePki.load>[1]> = {}) =>
  SitePki.load(temp.path, { site: "berlin", ...more });

describe("SitePki.load()", () => {
  test("makes a CA that signs no other CA, and a certificate for both ends of a link", async () => {
    const pki = await load({ hosts: ["berlin.example.net", "203.0.113.7"] });
    const ca = new X509Certificate(pki.caPem);
    expect(ca.ca).toBe(true);
    expect(pki.caPem).not.toContain("PRIVATE");
    expect(pki.ca.notAfter.getTime()).toBeGreaterThan(Date.now() + 3000 * DAY_MS);
    const text = await readFile(pki.linkFile, "utf8");
    const link = new X509Certificate(text);
    expect(link.verify(ca.publicKey)).toBe(true);
    expect(link.ca).toBe(false);
    expect(pki.link.subject).toBe("berlin");
    for (const name of [
      "DNS:berlin.example.net",
      "IP Address:203.0.113.7",
      "DNS:localhost",
      "IP Address:127.0.0.1",
    ])
      expect(pki.link.names).toContain(name);
    expect(pki.link.names).toContain("URI:leafmesh:site:berlin");
    expect(text).toContain("PRIVATE KEY");
  });

  test("leaves files that only the owner can read", async () => {
    await load();
    for (const name of await readdir(join(temp.path, "keys")))
      expect([name, (await stat(keyFile(name))).mode & 0o777]).toEqual([name, 0o600]);
  });

  test("finds the same CA and certificate again", async () => {
    const first = await load();
    const again = await load();
    expect(again.caPem).toBe(first.caPem);
    expect(again.fingerprint).toBe(first.fingerprint);
    expect(again.link.fingerprint).toBe(first.link.fingerprint);
    expect(again.fingerprint).toBe(describeCertificate(first.caPem).fingerprint);
  });

  test("makes the certificate anew when its hosts change, and when two thirds of its life are over", async () => {
    const first = await load();
    const named = await load({ hosts: ["10.0.0.9"] });
    expect(named.caPem).toBe(first.caPem);
    expect(named.link.names).toContain("IP Address:10.0.0.9");
    const at = (days: number) =>
      load({ hosts: ["10.0.0.9"], now: () => new Date(Date.now() + days * DAY_MS) });
    expect((await at(59)).link.fingerprint).toBe(named.link.fingerprint);
    expect((await at(61)).link.fingerprint).not.toBe(named.link.fingerprint);
  });

  test("makes the certificate anew when its file is broken or of another CA", async () => {
    const first = await load();
    await writeFile(first.linkFile, "nothing", { mode: 0o600 });
    const second = await load();
    expect(second.link.fingerprint).not.toBe(first.link.fingerprint);
    await rm(keyFile("ca.key"));
    await rm(keyFile("ca.pem"));
    const other = await load();
    expect(other.fingerprint).not.toBe(first.fingerprint);
    expect(
      new X509Certificate(await readFile(other.linkFile)).verify(new X509Certificate(other.caPem).publicKey),
    ).toBe(true);
  });

  test("refuses a CA whose key is gone or broken, and says nothing of what it holds", async () => {
    const pki = await load();
    const stored = await readFile(keyFile("ca.key"), "utf8");
    const key = stored.slice(pki.caPem.length);
    for (const content of [
      key,
      pki.caPem,
      "SECRET",
      `${pki.caPem}-----BEGIN PRIVATE KEY-----\nU0VDUkVU\n-----END PRIVATE KEY-----\n`,
    ]) {
      await writeFile(keyFile("ca.key"), content);
      const error = await load().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(LeafmeshError);
      expect((error as LeafmeshError).code).toBe("key_invalid");
      expect((error as LeafmeshError).message).not.toContain("SECRET");
    }
    await rm(keyFile("ca.key"));
    await expect(load()).rejects.toThrow("it is missing");
  });
});

describe("issueClient()", () => {
  test("makes a certificate that can dial and cannot be dialled, for as long as it was asked for", async () => {
    const pki = await load();
    const { certPem, keyPem } = await pki.issueClient({ commonName: "invitation-1", ttlMs: 60_000 });
    const certificate = new X509Certificate(certPem);
    expect(certificate.verify(new X509Certificate(pki.caPem).publicKey)).toBe(true);
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
    expect(describeCertificate(certPem).notAfter.getTime()).toBeLessThanOrEqual(Date.now() + 61_000);
    expect(keyPem).toContain("PRIVATE KEY");
  });

  test("does not outlive the CA", async () => {
    const pki = await load();
    const { certPem } = await pki.issueClient({ commonName: "x", ttlMs: 9000 * DAY_MS });
    expect(describeCertificate(certPem).notAfter).toEqual(pki.ca.notAfter);
  });
});
