import { expect, test } from "bun:test";
import { SitePki } from "../../../src/nats/pki/site_pki.ts";
import { CertificateWatch } from "../../../src/sidecar/certificate_watch.ts";
import { certificateReports } from "../../../src/sidecar/links.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const DAY_MS = 24 * 3_600_000;

test("renews the certificate of the links at two thirds of its life, and warns of CAs a month ahead, once a day", async () => {
  await using temp = await tempFolder();
  let at = Date.now();
  const now = () => new Date(at);
  const pki = await SitePki.load(temp.path, { site: "berlin", now });
  const peer = {
    name: "tokyo",
    key: "U",
    ca: (await SitePki.load(`${temp.path}/tokyo`, { site: "tokyo" })).caPem,
  };
  const certificates = () => certificateReports({}, pki, [peer], now());
  const said: string[] = [];
  let renewals = 0;
  using watch = new CertificateWatch({
    pki,
    certificates,
    renewed: () => {
      renewals += 1;
    },
    log: (level, message) => said.push(`${level} ${message}`),
    now,
  });
  const first = pki.link.fingerprint;
  at += 59 * DAY_MS;
  await watch.look();
  expect([renewals, said, pki.link.fingerprint]).toEqual([0, [], first]);
  at += 2 * DAY_MS;
  await watch.look();
  expect(renewals).toBe(1);
  expect(pki.link.fingerprint).not.toBe(first);
  expect(pki.link.notAfter.getTime()).toBeGreaterThan(at + 89 * DAY_MS);
  expect(said).toEqual([expect.stringContaining("info the certificate of the links is renewed")]);

  said.length = 0;
  at = pki.ca.notAfter.getTime() - 29 * DAY_MS;
  await watch.look();
  await watch.look();
  expect(said.filter((line) => line.startsWith("warn"))).toEqual([
    expect.stringContaining("the CA of this site expires in 29 days"),
    expect.stringContaining("the CA of tokyo expires in"),
  ]);
  expect(certificates().map(({ kind, peer: of }) => [kind, of])).toEqual([
    ["ca", null],
    ["link", null],
    ["peer_ca", "tokyo"],
  ]);
  expect(certificateReports({ links: "plain" }, pki, [peer], now())).toEqual([]);
});
